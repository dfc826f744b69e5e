# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_havipctl_global_optspecs
    string join \n socket= json h/help V/version
end

function __fish_havipctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_havipctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_havipctl_using_subcommand
    set -l cmd (__fish_havipctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c havipctl -n "__fish_havipctl_needs_command" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_needs_command" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_needs_command" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_needs_command" -s V -l version -d 'Print version'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "status" -d 'Roles, peers, holder, and how old every fact is'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "why" -d 'In words: why this node is, or is not, active; what says so, and what would change it'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "history" -d 'Past changes of role, with their cause and a timeline of each move in milliseconds'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "switchover" -d 'A planned move: the new node serves before the old one lets go'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "drain" -d 'Hand over, and do not become active again until `undrain`, across restarts'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "undrain" -d 'Take part again'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "maintenance" -d 'Freeze a group on every node of the cluster, or end that'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "reload" -d 'Read the configuration again, as SIGHUP does, and say what came of it'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "log-level" -d 'Change the level of the log until the next reload or restart'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "sandbox" -d 'A whole cluster and an emulated cloud on this machine: no root, no account'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "simulate" -d 'Play faults against the daemon\'s own decisions in virtual time: a script, or what the dice of a number say'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "keygen" -d 'Make a heartbeat key: the same file goes to every node'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -l watch -d 'Show every change as it happens, until interrupted'
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -l check -d 'Only what somebody should look at; exits 1 if there is anything'
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand why" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand why" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand why" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -l since -d 'Only what is newer: a duration such as 90m, 2h or 7d, or a time such as 2026-11-23T04:00:00Z' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -l svg -d 'Also draw the last move into this file' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l to -d 'The node that is to be active; else the next in rank' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l wait -d 'Wait until the other node serves; exits 1 if the move failed'
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l dry-run -d 'Only say what would happen'
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand drain" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand drain" -l wait -d 'Wait until other nodes serve'
complete -c havipctl -n "__fish_havipctl_using_subcommand drain" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand drain" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand undrain" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand undrain" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand undrain" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand maintenance" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand maintenance" -l all -d 'Every group'
complete -c havipctl -n "__fish_havipctl_using_subcommand maintenance" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand maintenance" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand reload" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand reload" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand reload" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand log-level" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand log-level" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand log-level" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l script -d 'Run a script instead of showing the cluster: "failover", a file, or "-" for standard input. Exits with 1 if it fails' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l profile -d 'How the emulated cloud behaves where Baidu documents nothing: attach-moves, first-stays, garp-moves, garp-required, garp-steals, strict-errors, eventual, no-flags or unwinnable' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l nodes -d 'Nodes that may hold the HAVIP, 2 to 5' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l arbiter -d 'Who decides when nodes cannot see each other' -r -f -a "auto\t'Majority with three or more voters, else the cloud'
none\t'Silence is enough'
cloud\t'The cloud\'s record'
majority\t'Leases from a majority of the nodes'"
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l interval -d 'Time between heartbeats, 10ms to 60s; ten of them without a sign of life, and a node is dead' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l havipd -d 'The daemon to run; without it, the one that is built into this program' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l witness -d 'One node more, that only votes'
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l keep -d 'Leave the directory with configuration, keys and state behind'
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l seed -d 'The scenario that belongs to this number, with a readable account' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l seeds -d 'All scenarios of these numbers, the last one not included' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l config -d 'Play the scenario on the cluster of this configuration' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l node -d 'Which node of the configuration this host is, when it is none of them' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l group -d 'The group of the configuration; else its first' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l profile -d 'How the cloud behaves where Baidu documents nothing, as with `havipctl sandbox`' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l trace -d 'Lines of the account that are shown, from its end, or "all"' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l invariants -d 'List what every run is held against'
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l verbose -d 'Show also what is the same as before: reads with the same answer, repeated announcements'
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l print -d 'Print the scenario as text and do not play it'
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand keygen" -l out -d 'Write it there (mode 0600), not to standard output. An existing file is left alone' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand keygen" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand keygen" -l json -d 'Answer in JSON'
complete -c havipctl -n "__fish_havipctl_using_subcommand keygen" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "status" -d 'Roles, peers, holder, and how old every fact is'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "why" -d 'In words: why this node is, or is not, active; what says so, and what would change it'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "history" -d 'Past changes of role, with their cause and a timeline of each move in milliseconds'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "switchover" -d 'A planned move: the new node serves before the old one lets go'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "drain" -d 'Hand over, and do not become active again until `undrain`, across restarts'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "undrain" -d 'Take part again'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "maintenance" -d 'Freeze a group on every node of the cluster, or end that'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "reload" -d 'Read the configuration again, as SIGHUP does, and say what came of it'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "log-level" -d 'Change the level of the log until the next reload or restart'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "sandbox" -d 'A whole cluster and an emulated cloud on this machine: no root, no account'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "simulate" -d 'Play faults against the daemon\'s own decisions in virtual time: a script, or what the dice of a number say'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "keygen" -d 'Make a heartbeat key: the same file goes to every node'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance reload log-level sandbox simulate keygen help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
