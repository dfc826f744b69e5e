//! The page that a browser shows of a node: one HTML document, made from the published status. Pure.
//!
//! Nothing in it is fetched from anywhere, nothing runs in it and nothing can be changed by it. Markup is text of this
//! file; whatever comes from outside goes through `Page::text`, which leaves no character that means something to HTML or
//! to a terminal. The labels are English or Chinese; what the daemon says in sentences is English in both.

use crate::ctl::status::{age, problems};
use crate::doctor::{Finding, Level};
use crate::plain;
use crate::status::{Published, Status};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use havipd_core::model::role::Role;
use havipd_core::model::settings::CheckState;
use havipd_core::status::{GroupSnapshot, MemberSnapshot};
use havipd_core::wire::session::SessionState;
use sha2::{Digest as _, Sha256};

/// Seconds between two pages in a browser that shows one.
const REFRESH: &str = "5";
/// Lines of what is wrong, and of the doctor's, that a page has room for.
const MOST_LINES: usize = 50;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#ccc;--soft:#666;--bad:#b00020;--doubt:#8a5a00;--good:#1b6e2d;--back:#fff;--ink:#1a1a1a}\
@media(prefers-color-scheme:dark){:root{--line:#444;--soft:#aaa;--bad:#ff8a80;--doubt:#ffcc66;--good:#81d896;--back:#161616;--ink:#e8e8e8}}\
body{font:15px/1.45 system-ui,sans-serif;margin:1rem auto;max-width:70rem;padding:0 1rem;background:var(--back);color:var(--ink)}\
h1{font-size:1.3rem;margin:.2rem 0}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}p{margin:.3rem 0}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}\
th{color:var(--soft);font-weight:600}ul{margin:.3rem 0;padding-left:1.2rem}\
.bad{color:var(--bad)}.doubt{color:var(--doubt)}.good{color:var(--good)}.soft{color:var(--soft)}";

/// In which language the labels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// English.
    English,
    /// Chinese, simplified.
    Chinese,
}

impl Language {
    /// The one of the two that an `Accept-Language` prefers; English if it names neither.
    #[must_use]
    pub fn preferred(accept: &str) -> Self {
        let mut best = (Self::English, 0.0_f32);
        for part in accept.split(',').take(32) {
            let mut fields = part.split(';');
            let tag = fields.next().unwrap_or_default().trim().to_ascii_lowercase();
            let language = match tag.split('-').next() {
                Some("zh") => Self::Chinese,
                Some("en") => Self::English,
                _ => continue,
            };
            let weight = fields.find_map(|f| f.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            // Of equal ones, the first counts.
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    /// As HTML and HTTP name it.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    const fn of(self, english: &'static str, chinese: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }
}

/// What a browser may do with the page: show it with its own style, and nothing else.
#[must_use]
pub fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// A document under way.
struct Page {
    html: String,
    language: Language,
}

impl Page {
    /// Markup, which is text of this file.
    fn tag(&mut self, markup: &'static str) {
        self.html.push_str(markup);
    }

    /// Anything else.
    fn text(&mut self, text: &str) {
        for c in plain::line(text).chars() {
            match c {
                '&' => self.html.push_str("&amp;"),
                '<' => self.html.push_str("&lt;"),
                '>' => self.html.push_str("&gt;"),
                '"' => self.html.push_str("&quot;"),
                '\'' => self.html.push_str("&#39;"),
                c => self.html.push(c),
            }
        }
    }

    fn label(&mut self, english: &'static str, chinese: &'static str) {
        self.tag(self.language.of(english, chinese));
    }

    fn heading(&mut self, english: &'static str, chinese: &'static str) {
        self.tag("<h2>");
        self.label(english, chinese);
        self.tag("</h2>\n");
    }

    fn table(&mut self, columns: &[(&'static str, &'static str)]) {
        self.tag("<div class=\"wide\"><table><tr>");
        for (english, chinese) in columns {
            self.tag("<th>");
            self.label(english, chinese);
            self.tag("</th>");
        }
        self.tag("</tr>\n");
    }

    fn row(&mut self, cells: &[(Tone, &str)]) {
        self.tag("<tr>");
        for (tone, cell) in cells {
            self.tag(tone.cell());
            self.text(cell);
            self.tag("</td>");
        }
        self.tag("</tr>\n");
    }

    fn end_table(&mut self) {
        self.tag("</table></div>\n");
    }
}

/// How a cell reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Bad,
    Doubt,
    Good,
    Soft,
}

impl Tone {
    const fn cell(self) -> &'static str {
        match self {
            Self::Plain => "<td>",
            Self::Bad => "<td class=\"bad\">",
            Self::Doubt => "<td class=\"doubt\">",
            Self::Good => "<td class=\"good\">",
            Self::Soft => "<td class=\"soft\">",
        }
    }
}

/// The whole document. `findings` are the doctor's last ones.
#[must_use]
pub fn page(published: &Published, findings: &[Finding], language: Language) -> String {
    let mut page = Page { html: String::with_capacity(16 * 1024), language };
    page.tag("<!DOCTYPE html>\n<html lang=\"");
    page.tag(language.tag());
    page.tag(
        "\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">",
    );
    page.tag("<meta http-equiv=\"refresh\" content=\"");
    page.tag(REFRESH);
    page.tag("\"><title>havipd");
    if let Published::Running(status) = published {
        page.text(&format!(" {} {}", status.core.election.cluster, status.core.election.node));
    }
    page.tag("</title><style>");
    page.tag(STYLE);
    page.tag("</style></head><body>\n");
    match published {
        Published::Running(status) => running(&mut page, status, findings),
        Published::Waiting { waiting } => {
            page.tag("<h1>havipd</h1><p class=\"doubt\">");
            page.label("Waiting: ", "等待中：");
            page.text(waiting);
            page.tag("</p>\n");
        }
    }
    page.tag("</body></html>\n");
    page.html
}

fn running(page: &mut Page, status: &Status, findings: &[Finding]) {
    let election = &status.core.election;
    page.tag("<h1>");
    page.text(&election.cluster);
    page.tag("</h1><p class=\"soft\">");
    page.label("Seen from node ", "本页由节点 ");
    page.text(&election.node);
    if let Some(target) = &election.target {
        page.text(&format!(" ({target})"));
    }
    page.label(", up ", " 提供，已运行 ");
    page.text(&age(election.uptime_ms));
    page.text(&format!(", havipd {}", status.version));
    page.tag("</p>\n");
    troubles(page, &problems(status));
    groups(page, status);
    for group in &election.groups {
        members(page, group);
    }
    havips(page, status);
    checks(page, status);
    peers(page, status);
    examined(page, findings);
}

fn troubles(page: &mut Page, all: &[String]) {
    page.heading("What somebody should look at", "需要关注");
    if all.is_empty() {
        page.tag("<p class=\"good\">");
        page.label("Nothing", "无");
        page.tag("</p>\n");
        return;
    }
    page.tag("<ul>\n");
    for line in all.iter().take(MOST_LINES) {
        page.tag("<li class=\"bad\">");
        page.text(line);
        page.tag("</li>\n");
    }
    page.tag("</ul>\n");
    more(page, all.len());
}

fn more(page: &mut Page, all: usize) {
    if all > MOST_LINES {
        page.tag("<p class=\"soft\">+ ");
        page.text(&(all - MOST_LINES).to_string());
        page.tag("</p>\n");
    }
}

fn groups(page: &mut Page, status: &Status) {
    page.heading("Groups", "组");
    page.table(&[
        ("Group", "组"),
        ("Serving", "当前服务节点"),
        ("Next", "可接管节点"),
        ("Role here", "本节点角色"),
        ("Epoch", "任期"),
        ("Since", "持续"),
        ("Cause", "原因"),
    ]);
    for group in &status.core.election.groups {
        let none = page.language.of("nobody", "无");
        let serving = match (&group.active, group.confirmed()) {
            (Some(active), Some(_)) => (Tone::Good, active.clone()),
            (Some(claims), None) => (Tone::Doubt, format!("{claims} {}", page.language.of("(claims)", "（正在接管）"))),
            (None, _) => (Tone::Bad, none.to_owned()),
        };
        let next = match (&group.successor, &group.no_failover) {
            (Some(next), None) => (Tone::Plain, next.clone()),
            (_, Some(why)) => (Tone::Bad, why.clone()),
            (None, None) => (Tone::Soft, "-".to_owned()),
        };
        let role = (role_tone(group.role), with_flags(group, page.language));
        page.row(&[
            (Tone::Plain, &group.name),
            (serving.0, &serving.1),
            (next.0, &next.1),
            (role.0, &role.1),
            (Tone::Plain, &group.epoch.to_string()),
            (Tone::Plain, &age(group.since_ms)),
            (Tone::Soft, &group.cause.to_string()),
        ]);
    }
    page.end_table();
}

fn with_flags(group: &GroupSnapshot, language: Language) -> String {
    let mut text = role_word(group.role, language).to_owned();
    for (on, english, chinese) in [
        (group.maintenance, "maintenance", "维护中"),
        (group.drained, "drained", "已排空"),
        (group.isolated, "isolated", "已隔离"),
        (group.observe, "observe", "仅观察"),
    ] {
        if on {
            text.push_str(", ");
            text.push_str(language.of(english, chinese));
        }
    }
    text
}

const fn role_word(role: Role, language: Language) -> &'static str {
    match role {
        Role::Backup => language.of("backup", "备用"),
        Role::Claiming => language.of("claiming", "接管中"),
        Role::Active => language.of("active", "主用"),
        Role::Releasing => language.of("releasing", "释放中"),
        Role::Fault => language.of("fault", "故障"),
    }
}

const fn role_tone(role: Role) -> Tone {
    match role {
        Role::Active => Tone::Good,
        Role::Claiming | Role::Releasing => Tone::Doubt,
        Role::Fault => Tone::Bad,
        Role::Backup => Tone::Plain,
    }
}

/// Who could take the group over, and who could not and why.
fn members(page: &mut Page, group: &GroupSnapshot) {
    if group.members.is_empty() {
        return;
    }
    page.tag("<h2>");
    page.label("Nodes of ", "组内节点：");
    page.text(&group.name);
    page.tag("</h2>\n");
    page.table(&[("Node", "节点"), ("Role", "角色"), ("Priority", "优先级"), ("Could take over", "能否接管")]);
    for member in &group.members {
        let role = member.role.map_or("-", |role| role_word(role, page.language));
        let role = if member.witness { page.language.of("witness", "见证节点") } else { role };
        let fit = fitness(member, page.language);
        page.row(&[
            (Tone::Plain, &member.node),
            (member.role.map_or(Tone::Soft, role_tone), role),
            (Tone::Plain, &member.priority.to_string()),
            (fit.0, &fit.1),
        ]);
    }
    page.end_table();
    if !group.waiting.is_empty() {
        page.tag("<p class=\"soft\">");
        page.text(&group.waiting);
        page.tag("</p>\n");
    }
}

fn fitness(member: &MemberSnapshot, language: Language) -> (Tone, String) {
    match member.unfit_in_words() {
        _ if member.witness => (Tone::Soft, "-".to_owned()),
        None => (Tone::Good, language.of("yes", "可以").to_owned()),
        Some(why) => (Tone::Bad, format!("{}: {why}", language.of("no", "不可以"))),
    }
}

fn havips(page: &mut Page, status: &Status) {
    page.heading("HAVIPs", "高可用虚拟 IP");
    page.table(&[
        ("HAVIP", "HAVIP"),
        ("Address", "地址"),
        ("On this host", "在本机上"),
        ("Holder in the cloud", "云端绑定主机"),
        ("Bound", "已绑定"),
        ("Read", "读取于"),
    ]);
    for havip in status.core.election.groups.iter().flat_map(|group| &group.havips) {
        let here = match havip.present {
            Some(true) => page.language.of("yes", "是"),
            Some(false) => page.language.of("no", "否"),
            None => "-",
        };
        let address = havip.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        page.row(&[
            (Tone::Plain, &havip.id),
            (Tone::Plain, &address),
            (Tone::Plain, here),
            (Tone::Plain, havip.holder.as_deref().unwrap_or("-")),
            (Tone::Soft, &havip.bound.join(", ")),
            (Tone::Soft, &havip.read_ms.map_or_else(|| "-".to_owned(), age)),
        ]);
    }
    page.end_table();
}

fn checks(page: &mut Page, status: &Status) {
    if status.effects.checks.is_empty() {
        return;
    }
    page.heading("Checks of this node", "本节点的检查");
    page.table(&[("Check", "检查"), ("State", "状态"), ("Since", "持续"), ("Last run", "最近一次")]);
    for check in &status.effects.checks {
        let (tone, state) = match check.state {
            CheckState::Up => (Tone::Good, page.language.of("passes", "通过")),
            CheckState::Down => (Tone::Bad, page.language.of("fails", "失败")),
            CheckState::Unknown => (Tone::Doubt, page.language.of("not decided yet", "未定")),
        };
        let last = match &check.last {
            Some(last) => last.text.as_str(),
            None if check.here => page.language.of("none yet", "尚无"),
            None => page.language.of("on other nodes only", "仅在其他节点"),
        };
        page.row(&[
            (Tone::Plain, check.name.as_str()),
            (tone, state),
            (Tone::Plain, &age(check.since_ms)),
            (Tone::Soft, last),
        ]);
    }
    page.end_table();
}

fn peers(page: &mut Page, status: &Status) {
    page.heading("Peers", "其他节点");
    page.table(&[("Node", "节点"), ("Session", "会话"), ("Heard", "最近心跳"), ("Configuration", "配置")]);
    for peer in &status.core.election.peers {
        let (tone, session) = match peer.state {
            SessionState::Up => (Tone::Good, page.language.of("up", "正常")),
            SessionState::OneWay => (Tone::Bad, page.language.of("does not hear us", "单向：对方收不到本节点")),
            SessionState::Down => (Tone::Bad, page.language.of("down", "中断")),
            SessionState::Unproven => (Tone::Doubt, page.language.of("not proven yet", "尚未验证")),
        };
        let (matches, same) = match peer.same_digest {
            Some(true) => (Tone::Good, page.language.of("the same", "一致")),
            Some(false) => (Tone::Bad, page.language.of("another one", "不一致")),
            None => (Tone::Soft, "-"),
        };
        let heard = peer.heard_ms.map_or_else(|| "-".to_owned(), age);
        page.row(&[(Tone::Plain, &peer.node), (tone, session), (Tone::Plain, &heard), (matches, same)]);
    }
    page.end_table();
}

/// What the doctor found wrong when it last looked.
fn examined(page: &mut Page, findings: &[Finding]) {
    let wrong: Vec<&Finding> = findings.iter().filter(|f| f.level != Level::Ok).collect();
    if findings.is_empty() {
        return;
    }
    page.heading("Doctor's last findings", "最近一次诊断");
    if wrong.is_empty() {
        page.tag("<p class=\"good\">");
        page.label("All is well", "一切正常");
        page.tag("</p>\n");
        return;
    }
    page.table(&[("Finding", "项目"), ("What is wrong", "问题"), ("What to do", "建议")]);
    for finding in wrong.iter().take(MOST_LINES) {
        let tone = if finding.level == Level::Failed { Tone::Bad } else { Tone::Doubt };
        page.row(&[(tone, &finding.id), (Tone::Plain, &finding.text), (Tone::Soft, &finding.remedy)]);
    }
    page.end_table();
    more(page, wrong.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::status::{CheckStatus, LastRun, RunResult, Runs};
    use crate::doctor::fixture;
    use havipd_core::health::CheckNote;
    use havipd_core::model::role::Cause;
    use havipd_core::status::{HavipSnapshot, Unfit};

    const EVIL: &str = "<script>alert(1)</script>\"'&\u{1b}[2J\n\u{202e}x";

    fn of(status: Status, findings: &[Finding], language: Language) -> String {
        page(&Published::Running(Box::new(status)), findings, language)
    }

    #[test]
    fn the_language_is_the_one_that_is_preferred() {
        for (accept, language) in [
            ("", Language::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-US,en;q=0.9,zh;q=0.8", Language::English),
            ("de, zh-TW;q=0.3, en;q=0.1", Language::Chinese),
            ("fr;q=1.0", Language::English),
            ("zh;q=0, en;q=0.1", Language::English),
            ("zh;q=NaN", Language::English),
        ] {
            assert_eq!(Language::preferred(accept), language, "{accept}");
        }
    }

    #[test]
    fn what_comes_from_outside_is_text_and_nothing_else() {
        let mut status = fixture::status();
        let election = &mut status.core.election;
        election.cluster = EVIL.to_owned();
        election.node = EVIL.to_owned();
        election.peers[0].node = EVIL.to_owned();
        let group = &mut election.groups[0];
        for text in [&mut group.name, &mut group.detail, &mut group.waiting] {
            *text = EVIL.to_owned();
        }
        (group.active, group.no_failover) = (Some(EVIL.to_owned()), Some(EVIL.to_owned()));
        let findings = [Finding::failed(EVIL, EVIL, EVIL)];
        for language in [Language::English, Language::Chinese] {
            let html = of(status.clone(), &findings, language);
            assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(1)"), "{html}");
            assert!(!html.contains(|c: char| plain::is_odd(c) && c != '\n'), "{html}");
            // Neither can it end an attribute, nor is anything fetched.
            assert!(!["src=", "href=", "url(", "http:", "https:"].iter().any(|word| html.contains(word)), "{html}");
        }
        let waiting = page(&Published::Waiting { waiting: EVIL.to_owned() }, &[], Language::English);
        assert!(!waiting.contains("<script"), "{waiting}");
    }

    #[test]
    fn a_page_says_who_serves_and_who_could_not_take_over() {
        let mut status = fixture::status();
        let group = &mut status.core.election.groups[0];
        group.no_failover = Some("b is not heard".to_owned());
        let html = of(status.clone(), &[], Language::English);
        for part in
            ["<td>web</td><td class=\"good\">a</td><td class=\"bad\">b is not heard</td>", "lang=\"en\"", "Peers"]
        {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        let html = of(status, &[Finding::ok("clock", "fine")], Language::Chinese);
        for part in ["lang=\"zh-CN\"", "当前服务节点", "主用", "一切正常"] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }

    /// What outsiders name: HAVIPs, their holders, checks and what a run said.
    fn with_all_tables(name: &str) -> Status {
        let mut status = fixture::status();
        let election = &mut status.core.election;
        election.peers[0].state = SessionState::OneWay;
        election.peers[0].same_digest = Some(false);
        let group = &mut election.groups[0];
        group.maintenance = true;
        group.waiting = "waits for b".to_owned();
        let check =
            CheckNote { name: "nginx".parse().expect("a name"), state: CheckState::Down, fault: true, flapping: false };
        let member = |node: &str, witness, role, unfit: Option<Unfit>| MemberSnapshot {
            node: node.to_owned(),
            witness,
            role,
            priority: 150,
            unfit: unfit.map(Into::into),
            checks: unfit.map(|_| check.clone()).into_iter().collect(),
            more_checks: 0,
        };
        group.members = vec![
            member("a", false, Some(Role::Active), None),
            member("b", false, Some(Role::Fault), Some(Unfit::CheckFailed)),
            member("w", true, None, None),
        ];
        group.havips = vec![HavipSnapshot {
            id: format!("havip-{name}"),
            address: "10.0.0.100".parse().ok(),
            present: Some(true),
            holder: Some(format!("i-{name}")),
            bound: vec![format!("i-{name}"), format!("i-2{name}")],
            read_ms: Some(90),
            error: None,
            repairs: 0,
            repaired: None,
            contested: None,
        }];
        let run = |here: bool, state: CheckState, last: Option<LastRun>| CheckStatus {
            name: "nginx".parse().expect("a name"),
            kind: "http".to_owned(),
            groups: vec![],
            here,
            state,
            since_ms: 2_000,
            streak: 0,
            fault: false,
            weight: 0,
            flapping: false,
            last,
            runs: Runs::default(),
            left_behind: 0,
        };
        let last = LastRun {
            result: RunResult::Failed.into(),
            text: format!("status 500 {name}"),
            milliseconds: 3,
            ago_ms: 5,
        };
        status.effects.checks = vec![
            run(true, CheckState::Down, Some(last)),
            run(true, CheckState::Unknown, None),
            run(false, CheckState::Up, None),
        ];
        status
    }

    #[test]
    fn every_table_says_what_the_status_says() {
        let html = of(with_all_tables("x"), &[], Language::English);
        for row in [
            "<td>web</td><td class=\"good\">a</td><td>b</td><td class=\"good\">active, maintenance</td><td>3</td><td>1 min 0 s</td>",
            "<td>a</td><td class=\"good\">active</td><td>150</td><td class=\"good\">yes</td>",
            "<td>b</td><td class=\"bad\">fault</td><td>150</td><td class=\"bad\">no: fails a check (nginx fails)</td>",
            "<td>w</td><td class=\"soft\">witness</td><td>150</td><td class=\"soft\">-</td>",
            "<p class=\"soft\">waits for b</p>",
            "<td>havip-x</td><td>10.0.0.100</td><td>yes</td><td>i-x</td><td class=\"soft\">i-x, i-2x</td><td class=\"soft\">90 ms</td>",
            "<td>nginx</td><td class=\"bad\">fails</td><td>2.0 s</td><td class=\"soft\">status 500 x</td>",
            "<td>nginx</td><td class=\"doubt\">not decided yet</td><td>2.0 s</td><td class=\"soft\">none yet</td>",
            "<td>nginx</td><td class=\"good\">passes</td><td>2.0 s</td><td class=\"soft\">on other nodes only</td>",
            "<td>b</td><td class=\"bad\">does not hear us</td><td>120 ms</td><td class=\"bad\">another one</td>",
            "<li class=\"bad\">check nginx fails: status 500 x</li>",
        ] {
            assert!(html.contains(row), "{row} is not in {html}");
        }
        let html = of(with_all_tables(EVIL), &[], Language::Chinese);
        assert!(!html.contains("<script") && html.matches("&lt;script&gt;alert(1)").count() >= 5, "{html}");
        for part in ["维护中", "见证节点", "单向：对方收不到本节点", "未定", "仅在其他节点"] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        // A node that only claims is not said to serve.
        let mut status = with_all_tables("x");
        status.core.election.groups[0].cause = Cause::NoActive.into();
        status.core.election.groups[0].role = Role::Claiming;
        let html = of(status, &[], Language::English);
        assert!(html.contains("<td class=\"doubt\">a (claims)</td>") && !html.contains(">a</td><td>b</td>"), "{html}");
    }

    #[test]
    fn the_policy_allows_the_style_of_the_page_alone() {
        let html = of(fixture::status(), &[], Language::English);
        let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("a style");
        let hash = STANDARD.encode(Sha256::digest(style));
        assert!(policy().contains(&format!("style-src 'sha256-{hash}'")) && policy().starts_with("default-src 'none'"));
        assert_eq!((html.matches("style=").count(), html.matches("<style>").count()), (0, 1));
    }

    #[test]
    fn the_length_of_a_page_is_bounded() {
        let findings = vec![Finding::failed("x", "y", "z"); 1000];
        let html = of(fixture::status(), &findings, Language::English);
        assert!(html.contains("<p class=\"soft\">+ 950</p>") && html.matches("<td class=\"bad\">x</td>").count() == 50);
    }
}
