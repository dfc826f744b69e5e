//! The live view: draws the cluster on the terminal, and does what keys say.

use super::cluster::{Cluster, News};
use super::deed::{ApiFault, Deed};
use super::facts::Facts;
use super::view::{Line, Style, render};
use crate::simulation::cloud::Profile;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// Time between two pictures.
const FRAME: Duration = Duration::from_millis(100);
/// Keys that wait.
const KEYS: usize = 32;
/// How often the key thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// The terminal in raw mode with its alternate screen; as it was again when this is dropped.
struct Terminal;

impl Terminal {
    fn enter() -> io::Result<Self> {
        enable_raw_mode()?;
        // Made before the rest is tried, so that a failure there is undone too.
        let terminal = Self;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Else the message would vanish with the alternate screen.
            leave();
            usual(info);
        }));
        Ok(terminal)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    // Nothing else can be tried if the terminal is gone.
    let _ = execute!(io::stdout(), ResetColor, Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// The thread that waits for keys.
struct Keys {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    fn start() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(KEYS);
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                let event = match event::poll(LOOK) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                // Without a terminal there is nothing to wait for any more.
                if event.map_or(true, |event| sender.blocking_send(event).is_err()) {
                    return;
                }
            }
        });
        (Self { stop, thread: Some(thread) }, receiver)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panicked at worst; its receiver noticed.
            let _ = thread.join();
        }
    }
}

/// What a key means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    Select(usize),
    Do(Deed<usize>),
    Quit,
}

/// Shows the cluster until the user quits or the terminal goes away.
///
/// # Errors
/// There is no terminal; nothing has happened then.
pub async fn show(cluster: &mut Cluster) -> io::Result<()> {
    let terminal = Terminal::enter()?;
    let (keys, mut events) = Keys::start();
    let mut selected = 0;
    let mut frames = tokio::time::interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                let facts = cluster.facts();
                match key(&event).and_then(|key| meaning(key, &facts, selected, cluster.api_of_all())) {
                    Some(Meaning::Quit) => break,
                    Some(Meaning::Select(node)) => selected = node,
                    Some(Meaning::Do(deed)) => do_it(cluster, &deed).await,
                    None => {}
                }
                if draw(&cluster.facts(), selected).is_err() {
                    break;
                }
            }
            _ = frames.tick() => if draw(&cluster.facts(), selected).is_err() {
                break;
            },
            // What is new is on the next picture.
            news = cluster.turn() => drop::<Vec<News>>(news),
        }
    }
    drop(keys);
    drop(terminal);
    Ok(())
}

async fn do_it(cluster: &mut Cluster, deed: &Deed<usize>) {
    if let Err(error) = cluster.act(deed).await {
        cluster.complain(&error);
    }
}

/// The key of an event, if it is one that was pressed.
fn key(event: &Event) -> Option<KeyEvent> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(*key),
        _ => None,
    }
}

fn meaning(key: KeyEvent, facts: &Facts, selected: usize, api_of_all: Option<ApiFault>) -> Option<Meaning> {
    let count = facts.nodes.len();
    let node = facts.nodes.get(selected)?;
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Meaning::Quit);
    }
    let deed = match key.code {
        KeyCode::Up => return Some(Meaning::Select((selected + count - 1) % count)),
        KeyCode::Down => return Some(Meaning::Select((selected + 1) % count)),
        KeyCode::Esc | KeyCode::Char('q') => return Some(Meaning::Quit),
        KeyCode::Char(digit @ '1'..='9') => {
            let number = usize::try_from(digit.to_digit(10)?).ok()? - 1;
            return (number < count).then_some(Meaning::Select(number));
        }
        KeyCode::Char('k') => Deed::Kill(selected),
        KeyCode::Char('s') => Deed::Stop(selected),
        KeyCode::Char('c') => Deed::Continue(selected),
        KeyCode::Char('t') => Deed::Terminate(selected),
        KeyCode::Char('r') => Deed::Start(selected),
        KeyCode::Char('p') => Deed::Partition(vec![selected]),
        KeyCode::Char('o') => Deed::OneWay { from: selected, to: (0..count).filter(|&n| n != selected).collect() },
        KeyCode::Char('h') => Deed::Heal,
        KeyCode::Char('w') => Deed::Switchover(selected),
        KeyCode::Char('d') if node.drained => Deed::Undrain(selected),
        KeyCode::Char('d') => Deed::Drain(selected),
        KeyCode::Char('a') => Deed::Api { node: Some(selected), fault: next_fault(node.api) },
        KeyCode::Char('A') => Deed::Api { node: None, fault: next_fault(api_of_all) },
        KeyCode::Char('P') => Deed::Profile(next_profile(&facts.cloud.profile)),
        _ => return None,
    };
    Some(Meaning::Do(deed))
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

fn draw(facts: &Facts, selected: usize) -> io::Result<()> {
    let (width, height) = size()?;
    let mut out = io::stdout().lock();
    for (row, line) in (0..height).zip(render(facts, selected, width.into(), height.into())) {
        queue!(out, MoveTo(0, row))?;
        line_out(&mut out, &line)?;
        queue!(out, Clear(ClearType::UntilNewLine))?;
    }
    out.flush()
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
        meaning(KeyEvent::new(KeyCode::Char(code), KeyModifiers::NONE), facts, 1, None)
    }

    #[test]
    fn keys_act_on_the_selected_node() {
        let mut facts = calm();
        for (code, deed) in [
            ('k', Deed::Kill(1)),
            ('s', Deed::Stop(1)),
            ('c', Deed::Continue(1)),
            ('t', Deed::Terminate(1)),
            ('r', Deed::Start(1)),
            ('p', Deed::Partition(vec![1])),
            ('o', Deed::OneWay { from: 1, to: vec![0, 2] }),
            ('h', Deed::Heal),
            ('w', Deed::Switchover(1)),
            ('d', Deed::Drain(1)),
            ('P', Deed::Profile("first-stays".to_owned())),
        ] {
            assert_eq!(press(code, &facts), Some(Meaning::Do(deed)), "{code}");
        }
        facts.nodes[1].drained = true;
        assert_eq!(press('d', &facts), Some(Meaning::Do(Deed::Undrain(1))));
        assert_eq!(press('3', &facts), Some(Meaning::Select(2)));
        assert_eq!(press('4', &facts), None);
        assert_eq!(press('q', &facts), Some(Meaning::Quit));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(meaning(interrupt, &facts, 1, None), Some(Meaning::Quit));
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
