complete -c havipd -l config -d 'Configuration file' -r -F
complete -c havipd -l node -d 'Which `[[node]]` of the file this host is; else its addresses, else its host name tell' -r
complete -c havipd -l log-format -d 'Format of the log; wins over log.format' -r -f -a "text\t'One line an event, for people'
json\t'One JSON object an event'"
complete -c havipd -l log-level -d 'Level of the log; wins over log.level' -r -f -a "error\t'Only what needs a human'
warn\t'And what may soon'
info\t'And every change of role'
debug\t'And every call'
trace\t'Everything'"
complete -c havipd -l check-config -d 'Check the configuration, print what is wrong with it, and exit'
complete -c havipd -l release-stale -d 'After an unclean exit: take addresses off this host and tell the peers (systemd\'s ExecStopPost)'
complete -c havipd -s h -l help -d 'Print help (see more with \'--help\')'
complete -c havipd -s V -l version -d 'Print version'
