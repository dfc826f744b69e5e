complete -c havipd -l config -d 'Configuration file' -r -F
complete -c havipd -l node -d 'Which `[[node]]` of the file this host is; else its addresses, else its host name tell' -r
complete -c havipd -l log-format -d 'Format of the log; wins over log.format' -r -f -a "text\t''
json\t''"
complete -c havipd -l log-level -d 'Level of the log; wins over log.level' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c havipd -l check-config -d 'Check the configuration, print what is wrong with it, and exit'
complete -c havipd -l release-stale -d 'After an unclean exit: take addresses off this host and tell the peers (systemd\'s ExecStopPost)'
complete -c havipd -s h -l help -d 'Print help'
complete -c havipd -s V -l version -d 'Print version'
