//! Nodes of two releases in one cluster, as during a rolling upgrade. There is one version of the format so far, so
//! the other release is the next one as docs/wire-format.md binds it.

use super::*;
use crate::model::event::Command;

const SEC: Duration = Duration::from_secs(1);

/// I6: a rolling upgrade to a later release, backups first, and the way back: each node is heard by the others
/// throughout, the HAVIP stays with its holder, and a planned move works in between.
#[test]
fn nodes_of_two_releases_keep_their_sessions() {
    for arbiter in [Arbiter::Majority, Arbiter::Cloud] {
        let mut pair = Pair::new(3, arbiter);
        pair.run(SEC * 33);
        assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
        for (node, later) in [(2, true), (1, true), (0, true), (0, false), (2, false), (1, false)] {
            pair.give(node, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
            pair.run(SEC * 2);
            assert!(pair.nodes[node].is_none(), "{}", pair.story());
            if later {
                pair.later.insert(node);
            } else {
                pair.later.remove(&node);
            }
            pair.start(node, config(3, node, arbiter));
            pair.run(SEC * 20);
            assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
            for i in 0..3 {
                let up = pair.core(i).peers.iter().filter(|p| p.up(pair.now)).count();
                assert_eq!(up, 2, "{i}: {:?}", pair.later);
                assert_eq!(pair.core(i).counters.malformed + pair.core(i).counters.wrong_version, 0);
            }
        }
        assert_eq!(pair.moves(), 0, "{}", pair.story());
        pair.later.insert(1);
        let to = Some(NodeIndex(1));
        pair.give(0, Event::Commanded { command: Command::Switchover { group: GroupIndex(0), to }, request: 2 });
        pair.run(SEC * 5);
        assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    }
}
