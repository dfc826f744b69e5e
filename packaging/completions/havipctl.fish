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

# The words so far, without options and their values: the first is the command.
function __fish_havipctl_words
    set -l value no
    for word in (commandline -opc)[2..-1]
        if test $value = yes
            set value no
            continue
        end
        switch $word
            case --address --arbiter --ca-file --cluster --config --credentials --endpoint --eni --expect --for --from --group --havip --havipd --instance --interval --lines --metadata-endpoint --name --node --nodes --on --out --peer --port --priority --profile --region --repeat --script --seed --seeds --since --socket --state --strangers --svg --timeout --to --trace --vpc --witness -n
                set value yes
            case '-*'
            case '*'
                printf '%s\n' $word
        end
    end
end

# Whether the next word is the first of one of these commands.
function __fish_havipctl_first_of
    set -l words (__fish_havipctl_words)
    test (count $words) -eq 1
    and contains -- $words[1] $argv
end

# Groups, nodes, targets and HAVIPs come from the running daemon; without one there are none.
function __fish_havipctl_live
    set -l words (commandline -opc)
    set -l socket
    for i in (seq (count $words))
        switch $words[$i]
            case '--socket=*'
                set socket $words[$i]
            case --socket
                set socket --socket $words[(math $i + 1)]
        end
    end
    havipctl $socket complete $argv 2>/dev/null
end

complete -c havipctl -n "__fish_havipctl_needs_command" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_needs_command" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_needs_command" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_needs_command" -s V -l version -d 'Print version'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "status" -d 'Roles, peers, holder, and how old every fact is'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "why" -d 'In words: why this node, or another, is or is not active; what says so, and what would change it'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "history" -d 'Past changes of role, with their cause and a timeline of each move in milliseconds'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "switchover" -d 'A planned move: the new node serves before the old one lets go. From any node'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "drain" -d 'Hand over, and do not become active again until `undrain`, across restarts'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "undrain" -d 'Take part again'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "maintenance" -d 'Freeze a group on every node of the cluster, or end that'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "doctor" -d 'Check everything that could go wrong, on the real cloud, and change nothing. Exits 1 if something fails'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "drill" -d 'Really move a group there and back, and measure it'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "reload" -d 'Read the configuration again, as SIGHUP does, and say what came of it'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "log-level" -d 'Change the level of the log until the next reload or restart'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "list" -d 'Every HAVIP that the cloud shows: address, holder, and who else is bound. No daemon needed'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "show" -d 'One HAVIP as the cloud shows it. No daemon needed'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "attach" -d 'Bind a target to a HAVIP, this node unless another is named. No daemon needed'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "detach" -d 'Unbind a target from a HAVIP, this node unless another is named. No daemon needed'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "notify" -d 'Take a state of keepalived: its notify command'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "import" -d 'A havipd.toml from keepalived\'s or vip-manager\'s configuration, with what could not be carried over and why'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "init" -d 'A havipd.toml for the nodes of a HAVIP, from the metadata service, the API, and your answers. No daemon needed'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "join" -d 'Before havipd starts on another node: are file and key the ones that the cluster has, and would it start?'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "sandbox" -d 'A whole cluster and an emulated cloud on this machine: no root, no account. Done by havipd-lab, a package of its own'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "simulate" -d 'Play faults against the daemon\'s own decisions in virtual time. Done by havipd-lab, a package of its own'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "bundle" -d 'Everything that somebody who helps needs to see, in one archive without secrets'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "keygen" -d 'Make a heartbeat key: the same file goes to every node'
complete -c havipctl -n "__fish_havipctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -l on -d 'The node that is asked, by way of this one; else this one' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -l watch -d 'Show every change as it happens, until interrupted; without a terminal only what is new'
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -l check -d 'Only what somebody should look at; exits 1 if there is anything'
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -l cluster -d 'Every node, as each sees itself: version, roles, whom it hears, checks; exits 1 if one does not answer'
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand why" -l on -d 'The node that is asked, by way of this one; else this one' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand why" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand why" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand why" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -l since -d 'Only what is newer: a duration such as 90m, 2h or 7d, or a time such as 2026-11-23T04:00:00Z' -r -f -a "15m\t''
1h\t''
2h\t''
12h\t''
1d\t''
7d\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -s n -l lines -d 'Only the newest N, or all. Unless given: 20, and all of them with --since or --json' -r -f -a "5\t''
10\t''
50\t''
100\t''
all\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -l svg -d 'Also draw the last move into this file; an existing one is left alone' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -l state -d 'Read the journal in this state directory and ask no daemon' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -l on -d 'The node whose history it is, by way of this one; else this one\'s' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l to -d 'The node that is to be active; else the next in rank' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l wait -d 'Wait until the other node serves; exits 1 if the move failed'
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l dry-run -d 'Only say what would happen'
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand drain" -l on -d 'The node that is to be drained, from this one; else this one' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand drain" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand drain" -l wait -d 'Wait until other nodes serve'
complete -c havipctl -n "__fish_havipctl_using_subcommand drain" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand drain" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand undrain" -l on -d 'The node that is to take part again, from this one; else this one' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand undrain" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand undrain" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand undrain" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand maintenance" -l for -d 'Off again by itself after this long: 1s to 720h, such as 30m or 2h. The node of this havipctl sees to it, across restarts; if it is down then, once it is back' -r -f -a "30m\t''
1h\t''
2h\t''
4h\t''
8h\t''
24h\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand maintenance" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand maintenance" -l all -d 'Every group'
complete -c havipctl -n "__fish_havipctl_using_subcommand maintenance" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand maintenance" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand doctor" -l config -d 'Examine this file without asking a daemon, as one that starts now would see things' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand doctor" -l node -d 'Which `[[node]]` of the file this host is; else its addresses, else its host name tell' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand doctor" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand doctor" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand drill" -l repeat -d 'How many times there and back; two moves each, and no more moves than the group\'s max-moves leaves' -r -f -a "1\t''
2\t''
3\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand drill" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand drill" -l yes -d 'Move without asking'
complete -c havipctl -n "__fish_havipctl_using_subcommand drill" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand drill" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand reload" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand reload" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand reload" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand log-level" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand log-level" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand log-level" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -l vpc -d 'Only those of one VPC' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -l config -d 'Take `[cloud]` and this node from that file; /etc/havipd/havipd.toml if neither --region nor --endpoint is given, unless there is none and BCE_REGION, or bce-cli\'s profile, names a region' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -l node -d 'Which `[[node]]` of the file this host is; else its addresses, else its host name tell' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -l region -d 'The cloud\'s region (bj, gz, su, ...); wins over the file' -r -f -a "bd\t''
bj\t''
cd\t''
fsh\t''
fwh\t''
gz\t''
hkg\t''
sin\t''
su\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -l endpoint -d 'The cloud\'s endpoint, for a private one or the sandbox; wins over the file and --region' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -l credentials -d 'A file with access-key-id and secret-access-key, or bce-cli\'s config.json; without a havipd.toml else the environment, else ~/.bce/config.json, else the instance\'s role' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -l metadata-endpoint -d 'Another metadata service, for the sandbox' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -l timeout -d 'Everything together may take this long: a number and ms, s, m or h [default: 30s; 10s where nothing is written]' -r -f -a "10s\t''
30s\t''
1m\t''
2m\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand list" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand show" -l config -d 'Take `[cloud]` and this node from that file; /etc/havipd/havipd.toml if neither --region nor --endpoint is given, unless there is none and BCE_REGION, or bce-cli\'s profile, names a region' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand show" -l node -d 'Which `[[node]]` of the file this host is; else its addresses, else its host name tell' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand show" -l region -d 'The cloud\'s region (bj, gz, su, ...); wins over the file' -r -f -a "bd\t''
bj\t''
cd\t''
fsh\t''
fwh\t''
gz\t''
hkg\t''
sin\t''
su\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand show" -l endpoint -d 'The cloud\'s endpoint, for a private one or the sandbox; wins over the file and --region' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand show" -l credentials -d 'A file with access-key-id and secret-access-key, or bce-cli\'s config.json; without a havipd.toml else the environment, else ~/.bce/config.json, else the instance\'s role' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand show" -l metadata-endpoint -d 'Another metadata service, for the sandbox' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand show" -l timeout -d 'Everything together may take this long: a number and ms, s, m or h [default: 30s; 10s where nothing is written]' -r -f -a "10s\t''
30s\t''
1m\t''
2m\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand show" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand show" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand show" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l instance -d 'This instance (BCC, BBC, DCC)' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l eni -d 'This elastic network interface' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l config -d 'Take `[cloud]` and this node from that file; /etc/havipd/havipd.toml if neither --region nor --endpoint is given, unless there is none and BCE_REGION, or bce-cli\'s profile, names a region' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l node -d 'Which `[[node]]` of the file this host is; else its addresses, else its host name tell' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l region -d 'The cloud\'s region (bj, gz, su, ...); wins over the file' -r -f -a "bd\t''
bj\t''
cd\t''
fsh\t''
fwh\t''
gz\t''
hkg\t''
sin\t''
su\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l endpoint -d 'The cloud\'s endpoint, for a private one or the sandbox; wins over the file and --region' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l credentials -d 'A file with access-key-id and secret-access-key, or bce-cli\'s config.json; without a havipd.toml else the environment, else ~/.bce/config.json, else the instance\'s role' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l metadata-endpoint -d 'Another metadata service, for the sandbox' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l timeout -d 'Everything together may take this long: a number and ms, s, m or h [default: 30s; 10s where nothing is written]' -r -f -a "10s\t''
30s\t''
1m\t''
2m\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l self -d 'The instance that the metadata service says this host is; the default where there is no havipd.toml'
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l wait -d 'Wait until the cloud shows that the target has it'
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l exclusive -d 'Move it: detach every other target, and wait'
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l dry-run -d 'Only read, and say what would be done'
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l force -d 'Even if a havipd that runs here has the HAVIP in its care: it will undo what disagrees with it'
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand attach" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l instance -d 'This instance (BCC, BBC, DCC)' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l eni -d 'This elastic network interface' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l config -d 'Take `[cloud]` and this node from that file; /etc/havipd/havipd.toml if neither --region nor --endpoint is given, unless there is none and BCE_REGION, or bce-cli\'s profile, names a region' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l node -d 'Which `[[node]]` of the file this host is; else its addresses, else its host name tell' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l region -d 'The cloud\'s region (bj, gz, su, ...); wins over the file' -r -f -a "bd\t''
bj\t''
cd\t''
fsh\t''
fwh\t''
gz\t''
hkg\t''
sin\t''
su\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l endpoint -d 'The cloud\'s endpoint, for a private one or the sandbox; wins over the file and --region' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l credentials -d 'A file with access-key-id and secret-access-key, or bce-cli\'s config.json; without a havipd.toml else the environment, else ~/.bce/config.json, else the instance\'s role' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l metadata-endpoint -d 'Another metadata service, for the sandbox' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l timeout -d 'Everything together may take this long: a number and ms, s, m or h [default: 30s; 10s where nothing is written]' -r -f -a "10s\t''
30s\t''
1m\t''
2m\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l self -d 'The instance that the metadata service says this host is; the default where there is no havipd.toml'
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l wait -d 'Wait until the cloud shows that the target is not bound any more'
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l dry-run -d 'Only read, and say what would be done'
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l force -d 'Even if a havipd that runs here has the HAVIP in its care: it will undo what disagrees with it'
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand detach" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand notify" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand notify" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand notify" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand import" -l out -d 'Write the havipd.toml there, not to standard output. An existing file is left alone' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand import" -l from -d 'Whose configuration the files are' -r -f -a "keepalived\t''
vip-manager\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand import" -l cluster -d 'cluster.name: other clusters of the same network need other names' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand import" -l arbiter -d 'Who elects: havipd, or still keepalived, which havipd then follows' -r -f -a "auto\t''
keepalived\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand import" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand import" -l observe -d 'Write observe = true into every group: havipd elects and reports, and touches nothing'
complete -c havipctl -n "__fish_havipctl_using_subcommand import" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand import" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l out -d 'Write the file there, and heartbeat.key beside it; - only prints it. An existing file is left alone' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l havip -d 'A HAVIP to keep; several move together' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l peer -d 'Another node that may have the HAVIP: its instance\'s id or name, or NAME=ADDRESS. NAME= before either names the node' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l witness -d 'A node that only votes, as --peer has it' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l name -d 'This node\'s name; else its instance\'s, else the host\'s' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l priority -d 'node.priority of one node; 100 for those not named. Without any, this node has 150' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l cluster -d 'cluster.name; else the HAVIP\'s name, else its id' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l group -d 'group.name; else the HAVIP\'s name, else its id' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l port -d 'heartbeat.port [default: 11200]' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l strangers -d 'What becomes of targets that are bound and no node of the cluster; without it that is refused here' -r -f -a "detach\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l region -d 'The cloud\'s region (bj, gz, su, ...); else the metadata service says' -r -f -a "bd\t''
bj\t''
cd\t''
fsh\t''
fwh\t''
gz\t''
hkg\t''
sin\t''
su\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l endpoint -d 'The cloud\'s endpoint, for a private one or the emulated cloud' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l ca-file -d 'Certificates (PEM) that replace the system\'s, for a private endpoint' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l metadata-endpoint -d 'Another metadata service, for the emulated cloud' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l credentials -d 'A file with access-key-id and secret-access-key, or bce-cli\'s config.json, which the daemon is to read' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l vpc -d 'The VPC; else the metadata service says' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l instance -d 'This node\'s instance; else the metadata service says' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l address -d 'This node\'s address; else the metadata service says' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l timeout -d 'Each question to the cloud may take this long: a number and ms, s, m or h' -r -f -a "10s\t''
30s\t''
1m\t''
2m\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l dry-run -d 'Only print what would be written, and make no key'
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l yes -d 'Ask nothing: take the only HAVIP, and those that are bound to it'
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c havipctl -n "__fish_havipctl_using_subcommand join" -l config -d 'The file that was copied here' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand join" -l node -d 'Which `[[node]]` of the file this host is; else its addresses, else its host name tell' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand join" -l expect -d 'The fingerprint of another node' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand join" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand join" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand join" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l script -d 'Run a script instead of showing the cluster: "failover", a file, or "-" for standard input. Exits with 1 if it fails' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l profile -d 'How the emulated cloud behaves where Baidu documents nothing: attach-moves, first-stays, garp-moves, garp-required, garp-steals, strict-errors, eventual, no-flags, busy or unwinnable' -r -f -a "attach-moves\t''
first-stays\t''
garp-moves\t''
garp-required\t''
garp-steals\t''
strict-errors\t''
eventual\t''
no-flags\t''
busy\t''
unwinnable\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l nodes -d 'Nodes that may hold the HAVIP, 2 to 5' -r -f -a "2\t''
3\t''
4\t''
5\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l arbiter -d 'Who decides when nodes cannot see each other' -r -f -a "auto\t'Majority with three or more voters, else the cloud'
cloud\t'The cloud\'s record'
majority\t'Leases from a majority of the nodes'"
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l interval -d 'Time between heartbeats, 10ms to 60s; ten of them without a sign of life, and a node is dead' -r -f -a "50ms\t''
100ms\t''
300ms\t''
1s\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l havipd -d 'The daemon to run; without it, the one that is built into this program' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l witness -d 'One node more, that only votes'
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l keep -d 'Leave the directory with configuration, keys and state behind'
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand sandbox" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l seed -d 'The scenario that belongs to this number, with a readable account' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l seeds -d 'All scenarios of these numbers, the last one not included' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l config -d 'Play the scenario on the cluster of this configuration' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l node -d 'Which node of the configuration this host is, when it is none of them' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l group -d 'The group of the configuration; else its first' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l profile -d 'How the cloud behaves where Baidu documents nothing, as with `havipd-lab sandbox`' -r -f -a "attach-moves\t''
first-stays\t''
garp-moves\t''
garp-required\t''
garp-steals\t''
strict-errors\t''
eventual\t''
no-flags\t''
busy\t''
unwinnable\t''"
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l trace -d 'Lines of the account that are shown, from its end, or "all"' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l invariants -d 'List what every run is held against'
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l verbose -d 'Show also what is the same as before: reads with the same answer, repeated announcements'
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l print -d 'Print the scenario as text and do not play it'
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand simulate" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand bundle" -l out -d 'Where to write it, mode 0600; an existing file is left alone. Else havipd-bundle-TIME.tar in this directory' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand bundle" -l config -d 'Configuration file; else the one that the daemon was started with, else /etc/havipd/havipd.toml' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand bundle" -l node -d 'Which `[[node]]` of the file this host is, for the doctor\'s look at the file where no daemon answers' -r
complete -c havipctl -n "__fish_havipctl_using_subcommand bundle" -l state -d 'The state directory of a daemon that does not answer; else the one that its process was given, or STATE_DIRECTORY, or /var/lib/havipd' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand bundle" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand bundle" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand bundle" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand keygen" -l out -d 'Write it there (mode 0600), not to standard output. An existing file is left alone' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand keygen" -l socket -d 'The daemon\'s control socket' -r -F
complete -c havipctl -n "__fish_havipctl_using_subcommand keygen" -l json -d 'Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}'
complete -c havipctl -n "__fish_havipctl_using_subcommand keygen" -s h -l help -d 'Print help'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "status" -d 'Roles, peers, holder, and how old every fact is'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "why" -d 'In words: why this node, or another, is or is not active; what says so, and what would change it'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "history" -d 'Past changes of role, with their cause and a timeline of each move in milliseconds'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "switchover" -d 'A planned move: the new node serves before the old one lets go. From any node'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "drain" -d 'Hand over, and do not become active again until `undrain`, across restarts'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "undrain" -d 'Take part again'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "maintenance" -d 'Freeze a group on every node of the cluster, or end that'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "doctor" -d 'Check everything that could go wrong, on the real cloud, and change nothing. Exits 1 if something fails'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "drill" -d 'Really move a group there and back, and measure it'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "reload" -d 'Read the configuration again, as SIGHUP does, and say what came of it'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "log-level" -d 'Change the level of the log until the next reload or restart'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "list" -d 'Every HAVIP that the cloud shows: address, holder, and who else is bound. No daemon needed'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "show" -d 'One HAVIP as the cloud shows it. No daemon needed'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "attach" -d 'Bind a target to a HAVIP, this node unless another is named. No daemon needed'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "detach" -d 'Unbind a target from a HAVIP, this node unless another is named. No daemon needed'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "notify" -d 'Take a state of keepalived: its notify command'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "import" -d 'A havipd.toml from keepalived\'s or vip-manager\'s configuration, with what could not be carried over and why'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "init" -d 'A havipd.toml for the nodes of a HAVIP, from the metadata service, the API, and your answers. No daemon needed'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "join" -d 'Before havipd starts on another node: are file and key the ones that the cluster has, and would it start?'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "sandbox" -d 'A whole cluster and an emulated cloud on this machine: no root, no account. Done by havipd-lab, a package of its own'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "simulate" -d 'Play faults against the daemon\'s own decisions in virtual time. Done by havipd-lab, a package of its own'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "bundle" -d 'Everything that somebody who helps needs to see, in one archive without secrets'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "keygen" -d 'Make a heartbeat key: the same file goes to every node'
complete -c havipctl -n "__fish_havipctl_using_subcommand help; and not __fish_seen_subcommand_from status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify import init join sandbox simulate bundle keygen" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c havipctl -n "__fish_havipctl_using_subcommand status why history switchover drain undrain maintenance doctor drill reload log-level list show attach detach notify init join bundle keygen help" -f
complete -c havipctl -n "__fish_havipctl_first_of why history switchover drain undrain maintenance drill" -f -a "(__fish_havipctl_live groups)"
complete -c havipctl -n "__fish_havipctl_first_of show attach detach" -f -a "(__fish_havipctl_live havips)"
complete -c havipctl -n "__fish_havipctl_using_subcommand switchover" -l to -x -a "(__fish_havipctl_live nodes)"
complete -c havipctl -n "__fish_havipctl_using_subcommand doctor list show attach detach join simulate bundle" -l node -x -a "(__fish_havipctl_live nodes)"
complete -c havipctl -n "__fish_havipctl_using_subcommand status why history drain undrain" -l on -x -a "(__fish_havipctl_live nodes)"
complete -c havipctl -n "__fish_havipctl_using_subcommand attach detach init" -l instance -x -a "(__fish_havipctl_live instances)"
complete -c havipctl -n "__fish_havipctl_using_subcommand attach detach" -l eni -x -a "(__fish_havipctl_live enis)"
complete -c havipctl -n "__fish_havipctl_using_subcommand maintenance" -f -a "on off reset"
complete -c havipctl -n "__fish_havipctl_first_of log-level" -f -a "error warn info debug trace"
complete -c havipctl -n "__fish_havipctl_first_of notify" -f -a "INSTANCE GROUP"
complete -c havipctl -n "__fish_havipctl_using_subcommand notify" -f -a "MASTER BACKUP FAULT STOP DELETED MASTER_RX_LOWER_PRI MASTER_PRIORITY BACKUP_PRIORITY"
