//! The live view: draws the cluster on the terminal, and does what keys say.

use super::act::{Act, ApiFault};
use super::cluster::{Cluster, News};
use super::facts::Facts;
use super::keys::{self, Key};
use super::output::Output;
use super::view::{Line, Style, render};
use super::{Code, Exit, HUNG_UP};
use crate::simulation::cloud::Profile;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use rustix::termios::tcgetwinsize;
use std::io::{self, Write};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Time between two pictures.
const FRAME: Duration = Duration::from_millis(100);
/// How long a terminal may take for the last that is written to it.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// The size of a terminal that does not know its own.
const USUAL: (u16, u16) = (80, 24);

/// The terminal in raw mode with its alternate screen. As it was again once it is left; when this is dropped, at least not
/// in raw mode.
pub struct Terminal {
    /// Until it is left.
    out: Option<Output>,
}

impl Terminal {
    /// Takes it, and everything that is printed.
    ///
    /// # Errors
    /// The terminal refuses; it is as it was then.
    pub async fn enter(mut out: Output) -> io::Result<Self> {
        enable_raw_mode()?;
        let mut begin = Vec::new();
        queue!(begin, EnterAlternateScreen, Hide)?;
        let entered = out.write(begin).await;
        // Made before that is looked at, so that a failure there is undone too.
        let terminal = Self { out: Some(out) };
        entered?;
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Else the message would vanish with the alternate screen. Nothing else can be tried if that fails.
            let _ = execute!(io::stdout(), ResetColor, Show, LeaveAlternateScreen);
            let _ = disable_raw_mode();
            usual(info);
        }));
        Ok(terminal)
    }

    /// Gives it back. One that is not read keeps its picture, and nobody waiting.
    pub async fn leave(mut self) {
        let Some(mut out) = self.out.take() else { return };
        let mut end = Vec::new();
        let queued = queue!(end, ResetColor, Show, LeaveAlternateScreen);
        let last = async {
            queued?;
            out.write(end).await?;
            out.finish().await
        };
        // It may be closed, which is why it is left.
        let _ = tokio::time::timeout(LAST_PATIENCE, last).await;
    }

    fn draw(&mut self, facts: &Facts, selected: usize) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        out.offer(picture(facts, selected)?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing else can be tried if the terminal is gone.
        let _ = disable_raw_mode();
    }
}

/// What a key means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    Select(usize),
    Do(Act<usize>),
    /// Nothing is done, and this is why.
    Say(String),
    Quit,
}

/// Shows the cluster until the user quits or the terminal is closed: with which exit code.
///
/// # Errors
/// The terminal cannot be read or written.
pub async fn show(cluster: &mut Cluster, terminal: &mut Terminal) -> io::Result<Exit> {
    let mut keys = keys::start()?;
    let mut selected = 0;
    let mut frames = tokio::time::interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            key = keys.recv() => {
                let Some(key) = key else { return Ok(HUNG_UP) };
                let facts = cluster.facts();
                match meaning(key, &facts, selected, cluster.api_of_all()) {
                    Some(Meaning::Quit) => return Ok(Code::Done.into()),
                    Some(Meaning::Select(node)) => selected = node,
                    Some(Meaning::Do(act)) => do_it(cluster, &act).await,
                    Some(Meaning::Say(text)) => cluster.answer(&text),
                    None => {}
                }
                terminal.draw(&cluster.facts(), selected)?;
            }
            _ = frames.tick() => terminal.draw(&cluster.facts(), selected)?,
            // What is new is on the next picture.
            news = cluster.turn() => drop::<Vec<News>>(news),
        }
    }
}

async fn do_it(cluster: &mut Cluster, act: &Act<usize>) {
    if let Err(error) = cluster.act(act).await {
        cluster.complain(&error);
    }
}

fn meaning(key: Key, facts: &Facts, selected: usize, api_of_all: Option<ApiFault>) -> Option<Meaning> {
    let count = facts.nodes.len();
    let node = facts.nodes.get(selected)?;
    let act = match key {
        Key::Up => return Some(Meaning::Select((selected + count - 1) % count)),
        Key::Down => return Some(Meaning::Select((selected + 1) % count)),
        Key::Escape | Key::End | Key::Char('q') => return Some(Meaning::Quit),
        Key::Char(digit @ '1'..='9') => {
            let number = usize::try_from(digit.to_digit(10)?).ok()? - 1;
            let there = number < count;
            let none = || Meaning::Say(format!("there is no node {digit}: they are 1 to {count}"));
            return Some(if there { Meaning::Select(number) } else { none() });
        }
        Key::Char('k') => Act::Kill(selected),
        Key::Char('s') => Act::Stop(selected),
        Key::Char('c') => Act::Continue(selected),
        Key::Char('t') => Act::Terminate(selected),
        Key::Char('r') => Act::Start(selected),
        Key::Char('p') => Act::Partition(vec![selected]),
        Key::Char('o') if (0..count).all(|n| n == selected || facts.cuts.contains(&(selected, n))) => {
            return Some(Meaning::Say(format!("what {} sends is lost already; h heals first", node.name)));
        }
        Key::Char('o') => Act::OneWay { from: selected, to: (0..count).filter(|&n| n != selected).collect() },
        Key::Char('h') => Act::Heal,
        Key::Char('w') => Act::Switchover(selected),
        Key::Char('d') if node.drained => Act::Undrain(selected),
        Key::Char('d') => Act::Drain(selected),
        Key::Char('a') => Act::Api { node: Some(selected), fault: next_fault(node.api) },
        Key::Char('A') => Act::Api { node: None, fault: next_fault(api_of_all) },
        Key::Char('P') => Act::Profile(next_profile(&facts.cloud.profile)),
        Key::Char(other) => {
            let shown = other.to_string().replace(havipd_core::model::plain::is_odd, "?");
            return Some(Meaning::Say(format!("the key {shown} does nothing; the two lines below have those that do")));
        }
    };
    Some(Meaning::Do(act))
}

const fn next_fault(now: Option<ApiFault>) -> Option<ApiFault> {
    match now {
        None => Some(ApiFault::Status(500)),
        Some(ApiFault::Status(_)) => Some(ApiFault::Hang),
        Some(ApiFault::Hang) => Some(ApiFault::Throttle),
        Some(ApiFault::Throttle) => None,
    }
}

fn next_profile(now: &str) -> String {
    let names = Profile::names();
    let at = names.iter().position(|n| n == now).map_or(0, |at| (at + 1) % names.len());
    names[at].clone()
}

fn picture(facts: &Facts, selected: usize) -> io::Result<Vec<u8>> {
    let size = tcgetwinsize(io::stdout())?;
    let (width, height) = if size.ws_col == 0 { USUAL } else { (size.ws_col, size.ws_row) };
    let mut out = Vec::new();
    for (row, line) in (0..height).zip(render(facts, selected, width.into(), height.into())) {
        queue!(out, MoveTo(0, row))?;
        line_out(&mut out, &line)?;
        queue!(out, Clear(ClearType::UntilNewLine))?;
    }
    Ok(out)
}

fn line_out(out: &mut impl Write, line: &Line) -> io::Result<()> {
    for span in &line.0 {
        match span.style {
            Style::Plain => {}
            Style::Bold => queue!(out, SetAttribute(Attribute::Bold))?,
            Style::Dim => queue!(out, SetAttribute(Attribute::Dim))?,
            Style::Good => queue!(out, SetForegroundColor(Color::Green))?,
            Style::Change => queue!(out, SetForegroundColor(Color::Yellow))?,
            Style::Bad => queue!(out, SetForegroundColor(Color::Red))?,
        }
        queue!(out, Print(&span.text), SetAttribute(Attribute::Reset), ResetColor)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::facts::tests::calm;

    fn press(code: char, facts: &Facts) -> Option<Meaning> {
        meaning(Key::Char(code), facts, 1, None)
    }

    #[test]
    fn keys_act_on_the_selected_node() {
        let mut facts = calm();
        for (code, act) in [
            ('k', Act::Kill(1)),
            ('s', Act::Stop(1)),
            ('c', Act::Continue(1)),
            ('t', Act::Terminate(1)),
            ('r', Act::Start(1)),
            ('p', Act::Partition(vec![1])),
            ('o', Act::OneWay { from: 1, to: vec![0, 2] }),
            ('h', Act::Heal),
            ('w', Act::Switchover(1)),
            ('d', Act::Drain(1)),
            ('P', Act::Profile("first-stays".to_owned())),
        ] {
            assert_eq!(press(code, &facts), Some(Meaning::Do(act)), "{code}");
        }
        facts.nodes[1].drained = true;
        assert_eq!(press('d', &facts), Some(Meaning::Do(Act::Undrain(1))));
        assert_eq!(press('3', &facts), Some(Meaning::Select(2)));
        assert_eq!(press('4', &facts), Some(Meaning::Say("there is no node 4: they are 1 to 3".to_owned())));
        assert!(matches!(press('x', &facts), Some(Meaning::Say(text)) if text.starts_with("the key x does nothing")));
        facts.cuts = vec![(0, 1), (1, 0), (1, 2), (2, 1)];
        assert!(matches!(press('o', &facts), Some(Meaning::Say(text)) if text.contains("h heals first")));
        assert_eq!(press('q', &facts), Some(Meaning::Quit));
        for key in [Key::End, Key::Escape] {
            assert_eq!(meaning(key, &facts, 1, None), Some(Meaning::Quit), "{key:?}");
        }
    }

    #[test]
    fn the_api_goes_round_all_its_faults_and_ends_whole() {
        let mut fault = None;
        let mut seen = Vec::new();
        for _ in 0..4 {
            fault = next_fault(fault);
            seen.push(fault);
        }
        let status = Some(ApiFault::Status(500));
        assert_eq!(seen, [status, Some(ApiFault::Hang), Some(ApiFault::Throttle), None]);
    }

    #[test]
    fn every_profile_comes_round() {
        let mut name = Profile::default().name;
        for _ in Profile::names() {
            name = next_profile(&name);
        }
        assert_eq!(name, Profile::default().name);
    }
}
