# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_havipd_lab_global_optspecs
    string join \n json h/help V/version
end

function __fish_havipd_lab_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_havipd_lab_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_havipd_lab_using_subcommand
    set -l cmd (__fish_havipd_lab_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c havipd-lab -n "__fish_havipd_lab_needs_command" -l json -d 'Answer in JSON, errors included, on standard output'
complete -c havipd-lab -n "__fish_havipd_lab_needs_command" -s h -l help -d 'Print help'
complete -c havipd-lab -n "__fish_havipd_lab_needs_command" -s V -l version -d 'Print version'
complete -c havipd-lab -n "__fish_havipd_lab_needs_command" -f -a "sandbox" -d 'A whole cluster and an emulated cloud on this machine: no root, no account'
complete -c havipd-lab -n "__fish_havipd_lab_needs_command" -f -a "simulate" -d 'Play faults against the daemon\'s own decisions in virtual time: a script, or what the dice of a number say'
complete -c havipd-lab -n "__fish_havipd_lab_needs_command" -f -a "emulator" -d 'The emulated cloud alone, over HTTP, until SIGTERM or SIGINT'
complete -c havipd-lab -n "__fish_havipd_lab_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand sandbox" -l script -d 'Run a script instead of showing the cluster: "failover", a file, or "-" for standard input. Exits with 1 if it fails' -r
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand sandbox" -l profile -d 'How the emulated cloud behaves where Baidu documents nothing: attach-moves, first-stays, garp-moves, garp-required, garp-steals, strict-errors, eventual, no-flags, busy or unwinnable' -r -f -a "attach-moves\t''
first-stays\t''
garp-moves\t''
garp-required\t''
garp-steals\t''
strict-errors\t''
eventual\t''
no-flags\t''
busy\t''
unwinnable\t''"
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand sandbox" -l nodes -d 'Nodes that may hold the HAVIP, 2 to 5' -r -f -a "2\t''
3\t''
4\t''
5\t''"
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand sandbox" -l arbiter -d 'Who decides when nodes cannot see each other' -r -f -a "auto\t'Majority with three or more voters, else the cloud'
cloud\t'The cloud\'s record'
majority\t'Leases from a majority of the nodes'"
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand sandbox" -l interval -d 'Time between heartbeats, 10ms to 60s; ten of them without a sign of life, and a node is dead' -r -f -a "50ms\t''
100ms\t''
300ms\t''
1s\t''"
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand sandbox" -l havipd -d 'The daemon to run; without it, the one that is built into this program' -r -F
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand sandbox" -l witness -d 'One node more, that only votes'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand sandbox" -l keep -d 'Leave the directory with configuration, keys and state behind'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand sandbox" -l json -d 'Answer in JSON, errors included, on standard output'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand sandbox" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l seed -d 'The scenario that belongs to this number, with a readable account' -r
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l seeds -d 'All scenarios of these numbers, the last one not included' -r
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l config -d 'Play the scenario on the cluster of this configuration' -r -F
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l node -d 'Which node of the configuration this host is, when it is none of them' -r
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l group -d 'The group of the configuration; else its first' -r
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l profile -d 'How the cloud behaves where Baidu documents nothing, as with `havipd-lab sandbox`' -r -f -a "attach-moves\t''
first-stays\t''
garp-moves\t''
garp-required\t''
garp-steals\t''
strict-errors\t''
eventual\t''
no-flags\t''
busy\t''
unwinnable\t''"
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l trace -d 'Lines of the account that are shown, from its end, or "all"' -r
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l invariants -d 'List what every run is held against'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l verbose -d 'Show also what is the same as before: reads with the same answer, repeated announcements'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l print -d 'Print the scenario as text and do not play it'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -l json -d 'Answer in JSON, errors included, on standard output'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand simulate" -s h -l help -d 'Print help'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand emulator" -l json -d 'Answer in JSON, errors included, on standard output'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand emulator" -s h -l help -d 'Print help'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand help; and not __fish_seen_subcommand_from sandbox simulate emulator help" -f -a "sandbox" -d 'A whole cluster and an emulated cloud on this machine: no root, no account'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand help; and not __fish_seen_subcommand_from sandbox simulate emulator help" -f -a "simulate" -d 'Play faults against the daemon\'s own decisions in virtual time: a script, or what the dice of a number say'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand help; and not __fish_seen_subcommand_from sandbox simulate emulator help" -f -a "emulator" -d 'The emulated cloud alone, over HTTP, until SIGTERM or SIGINT'
complete -c havipd-lab -n "__fish_havipd_lab_using_subcommand help; and not __fish_seen_subcommand_from sandbox simulate emulator help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
