//! Draws [`Facts`] as lines of text; pure, so that tests compare whole screens.

use super::facts::{Facts, NodeFacts, Process, Session};
use super::setup::ADDRESS;
use havipd_core::wire::session::SessionState;

/// Sessions that the column has room for.
const FEW: usize = 4;

/// Keys, always on the screen.
const HELP: [&str; 2] = [
    " 1-9 node  k kill  s stop  c cont  t term  r start  p partition  o one-way",
    " w switch over  d drain  a API  A API of all  h heal all  P profile  q quit",
];

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As usual.
    Plain,
    /// Stands out.
    Bold,
    /// Stands back.
    Dim,
    /// As it should be.
    Good,
    /// Between two states.
    Change,
    /// Broken.
    Bad,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it says; no control characters.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

/// One line of the screen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(pub Vec<Span>);

impl Line {
    fn new(text: impl Into<String>, style: Style) -> Self {
        Self::default().and(text, style)
    }

    fn and(mut self, text: impl Into<String>, style: Style) -> Self {
        let text = text.into().replace(havipd_core::model::plain::is_odd, "?");
        self.0.push(Span { text, style });
        self
    }

    /// Not longer than `width` characters; what is cut off shows as an ellipsis.
    fn fit(mut self, width: usize) -> Self {
        let mut room = width;
        for (at, span) in self.0.iter_mut().enumerate() {
            let length = span.text.chars().count();
            if length > room {
                span.text = span.text.chars().take(room.saturating_sub(1)).chain(['…']).take(room).collect();
                self.0.truncate(at + 1);
                break;
            }
            room -= length;
        }
        self
    }

    /// Its text alone.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().map(|s| s.text.as_str()).collect()
    }
}

/// The whole screen: exactly `height` lines, none longer than `width`. `selected` is the node that
/// keys act on.
#[must_use]
pub fn render(facts: &Facts, selected: usize, width: usize, height: usize) -> Vec<Line> {
    let mut lines = vec![title(facts)];
    let digits = " ".repeat(facts.nodes.len().to_string().len());
    lines.push(Line::new(format!("{digits}  node process        role      epoch  hears            API"), Style::Dim));
    let roomy = facts.nodes.len() * 2 + 15 <= height;
    for (number, node) in facts.nodes.iter().enumerate() {
        lines.push(node_line(facts, number, node, number == selected));
        if roomy || number == selected {
            lines.push(Line::new(format!("        {}", why(node)), Style::Dim));
        }
    }
    lines.push(cloud(facts));
    lines.push(network(facts));
    lines.extend(facts.nodes.get(selected).map_or_else(Vec::new, |node| socket(node, width)));
    let news = if roomy { 2 } else { 1 };
    let room = height.saturating_sub(lines.len() + news + HELP.len());
    lines.extend(last_move(facts, room));
    let body = height.saturating_sub(news + HELP.len());
    lines.resize(body.min(height), Line::default());
    let latest = facts.news.iter().rev().take(news).rev().map(|n| Line::new(format!(" {n}"), Style::Plain));
    lines.extend(latest);
    lines.resize(height.saturating_sub(HELP.len()), Line::default());
    lines.extend(HELP.iter().map(|h| Line::new(*h, Style::Bold)));
    // On a screen smaller than the help, the help is what stays.
    let surplus = lines.len().saturating_sub(height);
    lines.drain(..surplus);
    lines.into_iter().map(|line| line.fit(width)).collect()
}

fn title(facts: &Facts) -> Line {
    let seconds = facts.uptime.as_secs();
    Line::new(" havipd sandbox", Style::Bold).and(
        format!(
            "  {:02}:{:02}  profile {}  arbiter {}  moves {}  calls {}",
            seconds / 60,
            seconds % 60,
            facts.cloud.profile,
            facts.arbiter,
            facts.moves,
            facts.cloud.calls
        ),
        Style::Plain,
    )
}

fn node_line(facts: &Facts, number: usize, node: &NodeFacts, selected: bool) -> Line {
    let mark = if selected { '>' } else { ' ' };
    let (process, process_style) = match &node.process {
        Process::Running { pid } if node.answers => (format!("up {pid}"), Style::Plain),
        Process::Running { pid } => (format!("silent {pid}"), Style::Change),
        Process::Frozen { pid } => (format!("stopped {pid}"), Style::Bad),
        Process::Gone { .. } => ("down".to_owned(), Style::Bad),
    };
    let role = match (&node.role, &node.process) {
        (_, Process::Gone { .. }) | (None, _) => "-",
        (Some(_), _) if node.witness => "witness",
        (Some(role), _) => role,
    };
    let role_style = match role {
        "active" if node.process.runs() => Style::Good,
        "claiming" | "releasing" => Style::Change,
        "fault" => Style::Bad,
        _ => Style::Plain,
    };
    let session = |s: &Session| format!("{}:{}", facts.nodes[s.peer].name, s.state.as_str());
    // Of many the column shows those that are not as they should be.
    let sessions: Vec<String> = if node.sessions.len() <= FEW {
        node.sessions.iter().map(session).collect()
    } else {
        let (up, other): (Vec<&Session>, Vec<&Session>) =
            node.sessions.iter().partition(|s| s.state == SessionState::Up);
        std::iter::once(format!("{} up", up.len())).chain(other.into_iter().map(session)).collect()
    };
    let all_up = node.sessions.iter().all(|s| s.state == SessionState::Up);
    let hears = if node.process.runs() { sessions.join(" ") } else { "-".to_owned() };
    let api = node.api.map_or_else(|| "ok".to_owned(), |fault| fault.to_string());
    let api_style = if node.api.is_some() { Style::Bad } else { Style::Plain };
    let digits = facts.nodes.len().to_string().len();
    let name = format!("{mark}{:>digits$} {:<4} ", number + 1, node.name);
    Line::new(name, if selected { Style::Bold } else { Style::Plain })
        .and(format!("{process:<14} "), process_style)
        .and(format!("{role:<9} "), role_style)
        .and(format!("{:<6} ", node.epoch), Style::Plain)
        .and(format!("{hears:<16} "), if all_up { Style::Plain } else { Style::Change })
        .and(api, api_style)
        .and(if node.drained { " drained" } else { "" }, Style::Change)
}

fn why(node: &NodeFacts) -> &str {
    match &node.process {
        Process::Gone { how } => how,
        Process::Running { .. } | Process::Frozen { .. } => &node.why,
    }
}

fn cloud(facts: &Facts) -> Line {
    let or_nobody = |who: &Option<String>| who.clone().unwrap_or_else(|| "nobody".to_owned());
    let cloud = &facts.cloud;
    let agree = cloud.master.is_some() && cloud.master == cloud.packets;
    let bound = if cloud.bound.is_empty() { "nobody".to_owned() } else { cloud.bound.join(" ") };
    Line::new(" cloud   ", Style::Bold)
        .and(format!("{ADDRESS}  bound: {bound}  master: "), Style::Plain)
        .and(or_nobody(&cloud.master), if agree { Style::Good } else { Style::Change })
        .and("  packets to: ", Style::Plain)
        .and(or_nobody(&cloud.packets), if agree { Style::Good } else { Style::Change })
}

/// How another terminal asks that node: a command that a shell takes as it is copied. What one line has no room for goes on
/// at the left edge of the next, after the backslash that the shell takes out.
fn socket(node: &NodeFacts, width: usize) -> Vec<Line> {
    const BEFORE: &str = " socket  ";
    let words: Vec<String> = node.socket.chars().map(for_shell).collect();
    let one = format!("{BEFORE}havipctl --socket {} status", words.concat());
    if one.chars().count() <= width {
        return vec![Line::new(one, Style::Dim)];
    }
    let (mut lines, mut line) = (vec![format!("{BEFORE}havipctl status --socket \\")], String::new());
    for (at, word) in words.iter().enumerate() {
        let backslash = usize::from(at + 1 < words.len());
        if !line.is_empty() && line.chars().count() + word.chars().count() + backslash > width {
            lines.push(format!("{line}\\"));
            line.clear();
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.into_iter().map(|line| Line::new(line, Style::Dim)).collect()
}

/// A character of a path as a shell takes it for itself.
fn for_shell(c: char) -> String {
    if c.is_alphanumeric() || "/._-+,:@%".contains(c) { c.to_string() } else { format!("\\{c}") }
}

fn network(facts: &Facts) -> Line {
    let line = Line::new(" network ", Style::Bold);
    if facts.cuts.is_empty() {
        return line.and("whole", Style::Plain);
    }
    let name = |n: usize| facts.nodes[n].name.as_str();
    let mut shown = Vec::new();
    for &(from, to) in &facts.cuts {
        match facts.cuts.contains(&(to, from)) {
            true if from < to => shown.push(format!("{} | {}", name(from), name(to))),
            true => {}
            false => shown.push(format!("{} -x-> {}", name(from), name(to))),
        }
    }
    line.and(format!("cut: {}", shown.join("   ")), Style::Bad)
}

/// The last move in at most `room` lines: the title, then as many steps from both ends as fit.
fn last_move(facts: &Facts, room: usize) -> Vec<Line> {
    let Some(last) = &facts.last_move else { return Vec::new() };
    let mut lines = vec![Line::new(format!(" {}", last.title()), Style::Bold)];
    let room = room.saturating_sub(1);
    let left_out = if last.steps.len() > room { last.steps.len() + 1 - room.max(1) } else { 0 };
    let head = if left_out > 0 { room.saturating_sub(1) / 2 } else { last.steps.len() };
    for (at, step) in last.steps.iter().enumerate() {
        if at == head && left_out > 0 {
            lines.push(Line::new(format!("                ({left_out} more)"), Style::Dim));
        }
        if at < head || at >= head + left_out {
            lines.push(Line::new(step.to_string(), Style::Plain));
        }
    }
    lines.truncate(room + 1);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::act::ApiFault;
    use crate::sandbox::facts::tests::calm;
    use crate::sandbox::timeline::{Move, Step};

    fn screen(facts: &Facts, selected: usize, width: usize, height: usize) -> String {
        let lines = render(facts, selected, width, height);
        assert_eq!(lines.len(), height);
        let text: Vec<String> = lines.iter().map(|l| l.text().trim_end().to_owned()).collect();
        assert!(text.iter().all(|l| l.chars().count() <= width), "{text:#?}");
        text.join("\n")
    }

    fn after_a_move(steps: usize) -> Facts {
        let mut facts = calm();
        facts.nodes[0].process = Process::Gone { how: "killed by signal 9".to_owned() };
        facts.nodes[1].role = Some("active".to_owned());
        facts.nodes[1].epoch = 2;
        facts.nodes[1].why = "peer-dead: a was silent for 1000 ms".to_owned();
        facts.nodes[1].sessions[0].state = SessionState::Down;
        facts.nodes[2].process = Process::Frozen { pid: 4002 };
        facts.nodes[2].api = Some(ApiFault::Status(500));
        facts.nodes[2].drained = true;
        facts.cloud.bound = vec!["b".to_owned()];
        facts.cloud.master = Some("b".to_owned());
        facts.cloud.packets = Some("b".to_owned());
        facts.moves = 1;
        facts.cuts = vec![(0, 1), (1, 0), (2, 0)];
        facts.news = vec!["a is killed (SIGKILL)".to_owned(), "c is frozen (SIGSTOP)".to_owned()];
        let step = |n: usize| Step { ms: 10.0 * f64::from(u32::try_from(n).unwrap()), text: format!("step {n}") };
        facts.last_move = Some(Move {
            number: 1,
            from: Some("a".to_owned()),
            to: "b".to_owned(),
            epoch: 2,
            cause: "peer-dead".to_owned(),
            total_ms: 1008.0,
            steps: (0..steps).map(step).collect(),
        });
        facts
    }

    #[test]
    fn a_calm_cluster() {
        let expected = "
 havipd sandbox  01:23  profile attach-moves  arbiter auto  moves 0  calls 17
   node process        role      epoch  hears            API
>1 a    up 4000        active    1      b:up c:up        ok

 2 b    up 4001        backup    1      a:up c:up        ok

 3 c    up 4002        backup    1      a:up b:up        ok

 cloud   192.0.2.100  bound: a  master: a  packets to: a
 network whole
 socket  havipctl --socket /x/a/control.sock status











 1-9 node  k kill  s stop  c cont  t term  r start  p partition  o one-way
 w switch over  d drain  a API  A API of all  h heal all  P profile  q quit";
        assert_eq!(screen(&calm(), 0, 80, 24), expected[1..]);
    }

    #[test]
    fn after_a_failover() {
        let expected = "
 havipd sandbox  01:23  profile attach-moves  arbiter auto  moves 1  calls 17
   node process        role      epoch  hears            API
 1 a    down           -         1      -                ok
        killed by signal 9
>2 b    up 4001        active    2      a:down c:up      ok
        peer-dead: a was silent for 1000 ms
 3 c    stopped 4002   backup    1      -                500 drained

 cloud   192.0.2.100  bound: b  master: b  packets to: b
 network cut: a | b   c -x-> a
 socket  havipctl --socket /x/b/control.sock status
 move 1: a -> b, 1008.0 ms (peer-dead, epoch 2)
       0.0 ms  step 0
      10.0 ms  step 1
      20.0 ms  step 2
                (5 more)
      80.0 ms  step 8
      90.0 ms  step 9
     100.0 ms  step 10
     110.0 ms  step 11
 a is killed (SIGKILL)
 c is frozen (SIGSTOP)
 1-9 node  k kill  s stop  c cont  t term  r start  p partition  o one-way
 w switch over  d drain  a API  A API of all  h heal all  P profile  q quit";
        assert_eq!(screen(&after_a_move(12), 1, 80, 24), expected[1..]);
    }

    #[test]
    fn the_command_for_another_terminal_is_whole_wherever_the_sandbox_lives() {
        for directory in
            ["/tmp/havipd-sandbox-Yj3kQ2", "/run/user/1000/my tmp (it's $HOME)/havipd-sandbox-Yj3kQ2/and/so/on"]
        {
            for width in [40, 79, 80, 81, 120, 200] {
                let mut facts = calm();
                facts.nodes[0].socket = format!("{directory}/a/run/control.sock");
                let text = screen(&facts, 0, width, 30);
                let mut lines = text.lines().skip_while(|line| !line.starts_with(" socket  "));
                let mut command = lines.next().unwrap().trim_start_matches(" socket  ").to_owned();
                while command.ends_with('\\') {
                    command = format!("{command}\n{}", lines.next().unwrap());
                }
                let script = format!("havipctl() {{ printf '%s\\n' \"$@\"; }}\n{command}");
                let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
                let mut said: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
                said.sort_unstable();
                let socket = facts.nodes[0].socket.as_str();
                assert_eq!(said, ["--socket", socket, "status"], "{width}: {command}");
            }
        }
    }

    #[test]
    fn the_columns_hold_for_sixteen_nodes() {
        let mut facts = calm();
        facts.nodes = (0..16)
            .map(|n| {
                let name = char::from(b'a' + u8::try_from(n).unwrap()).to_string();
                let up = |peer| Session { peer, state: SessionState::Up };
                let sessions = (0..16).filter(|peer| *peer != n).map(up).collect();
                NodeFacts { name, sessions, ..facts.nodes[1].clone() }
            })
            .collect();
        facts.nodes[9].sessions[2].state = SessionState::Down;
        let text = screen(&facts, 0, 80, 24);
        for line in [
            "    node process        role      epoch  hears            API",
            "> 1 a    up 4001        backup    1      15 up            ok",
            " 10 j    up 4001        backup    1      14 up c:down     ok",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn the_help_is_visible_on_any_screen() {
        for (width, height) in [(80, 24), (80, 10), (40, 5), (20, 3), (10, 2), (200, 60)] {
            let text = screen(&after_a_move(30), 0, width, height);
            assert!(text.contains("1-9 node"), "{width}x{height}:\n{text}");
        }
        assert_eq!(screen(&after_a_move(30), 0, 80, 1).lines().count(), 1);
        assert_eq!(render(&after_a_move(3), 0, 80, 0), []);
    }

    #[test]
    fn nothing_that_a_daemon_says_reaches_the_terminal_as_a_command() {
        let mut facts = calm();
        facts.nodes[0].why = "\x1b[2J\nnew line".to_owned();
        assert!(screen(&facts, 0, 80, 24).contains("        ?[2J?new line"));
    }
}
