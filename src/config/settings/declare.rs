//! What the compiler makes of the table of settings: see [`super`].

/// Names every table of the file. Gives `Section` and `KEYS`.
macro_rules! sections {
    ($($section:ident $header:literal;)*) => {
        /// A table of the file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Section {
            $(#[doc = concat!("`", $header, "`.")] $section,)*
        }

        impl Section {
            /// Every table, in the order of the reference.
            pub const ALL: &[Self] = &[$(Self::$section),*];

            /// The section as it is written in the file.
            #[must_use]
            pub const fn header(self) -> &'static str {
                match self {
                    $(Self::$section => $header,)*
                }
            }
        }

        const PARTS: &[&[Key]] = &[$($section::KEYS),*];

        /// Every key.
        pub static KEYS: &[Key] = &join::<{ count(PARTS) }>(PARTS);
    };
}

/// Declares tables of the file. Gives, for each, a struct of its name with `KEYS` and `read`; with `of`, also `facts`; with
/// `build`, also `build`.
macro_rules! settings {
    ($(
        $section:ident
            keys $keys:tt
            $(tables $tables:tt)?
            $(later $later:tt)?
            $(of $domain:tt $(, build $from:tt $rest:tt)?)?;
    )*) => {
        $(
            read!($section $keys { $($tables)? } { $($later)? });
            $(
                facts!($section $domain $keys);
                $(build!($section $domain $from $keys $rest);)?
            )?
        )*
    };
}

/// How many keys there are.
pub(super) const fn count(parts: &[&[super::Key]]) -> usize {
    let (mut all, mut part) = (0, 0);
    while part < parts.len() {
        all += parts[part].len();
        part += 1;
    }
    all
}

/// The rows of all tables, one after the other.
pub(super) const fn join<const N: usize>(parts: &[&[super::Key]]) -> [super::Key; N] {
    let mut all = [parts[0][0]; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut row = 0;
        while row < parts[part].len() {
            all[at] = parts[part][row];
            at += 1;
            row += 1;
        }
        part += 1;
    }
    all
}

/// One table as it is written, its rows, and how it is read.
macro_rules! read {
    (
        $section:ident
        {$(
            $(#[doc = $text:literal])*
            $name:literal $field:ident: $type:ty $(=> $target:ident)? {
                takes: $takes:expr, $preset:ident: $example:tt, reload: $reload:ident,
                $(shown: $shown:expr,)?
                cost: $cost:literal,
            }
        )*}
        {$({$(
            $(#[doc = $intro:literal])*
            $inner_name:literal $inner:ident: $many:ident $table:ident $(($min:literal, $max:literal))?,
            $inner_preset:ident, $inner_reload:ident;
        )*})?}
        {$({$($later:literal),*})?}
    ) => {
        #[doc = concat!("`", stringify!($section), "` as it is written.")]
        pub(in crate::config) struct $section {
            $(pub(in crate::config) $field: Option<At<$type>>,)*
            $($(pub(in crate::config) $inner: inner!(type $many $table),)*)?
        }

        impl $section {
            /// The rows of this table.
            pub(in crate::config) const KEYS: &'static [Key] = &[
                $(Key {
                    section: Section::$section,
                    name: $name,
                    kind: {
                        const TAKES: Takes<$type> = $takes;
                        TAKES.kind
                    },
                    preset: preset!($preset $example),
                    reload: Reload::$reload,
                    text: &[$($text),*],
                    example: stringify!($example),
                    cost: $cost,
                },)*
                $($(Key {
                    section: Section::$section,
                    name: $inner_name,
                    kind: inner!(kind $many $table $(($min, $max))?),
                    preset: Preset::$inner_preset,
                    reload: Reload::$inner_reload,
                    text: &[$($intro),*],
                    example: "",
                    cost: "",
                },)*)?
                $($(Key {
                    section: Section::$section,
                    name: $later,
                    kind: Kind::Later,
                    preset: Preset::Absent,
                    reload: Reload::Accept,
                    text: &[],
                    example: "",
                    cost: "",
                },)*)?
            ];

            /// Reads every key of the table; what is wrong is reported.
            pub(in crate::config) fn read(table: &Table<'_>) -> Self {
                Self {
                    $($field: {
                        const TAKES: Takes<$type> = $takes;
                        (TAKES.read)(table, $name)
                    },)*
                    $($($inner: inner!(read $many $table, table, $inner_name),)*)?
                }
            }
        }
    };
}

macro_rules! preset {
    (required $example:tt) => {
        Preset::Required
    };
    (default $value:tt) => {
        Preset::Value(stringify!($value))
    };
    (example $example:tt) => {
        Preset::Absent
    };
}

/// A table inside a table: there once, or as a list.
macro_rules! inner {
    (type one $table:ident) => { At<$table> };
    (type many $table:ident) => { Vec<At<$table>> };
    (kind one $table:ident) => { Kind::Table(Section::$table) };
    (kind many $table:ident ($min:literal, $max:literal)) => { Kind::Tables(Section::$table, $min, $max) };
    (read one $table:ident, $outer:ident, $name:literal) => {{
        let table = $outer.table($name);
        table.at($table::read(&table))
    }};
    (read many $table:ident, $outer:ident, $name:literal) => {
        $outer.tables($name).iter().map(|table| table.at($table::read(table))).collect()
    };
}

/// What each key of a table is in the checked configuration, for the comparison at a reload.
macro_rules! facts {
    (
        $section:ident ($domain:path)
        {$(
            $(#[doc = $text:literal])*
            $name:literal $field:ident: $type:ty $(=> $target:ident)? {
                takes: $takes:expr, $preset:ident: $example:tt, reload: $reload:ident,
                $(shown: $shown:expr,)?
                cost: $cost:literal,
            }
        )*}
    ) => {
        impl $section {
            /// Puts each key with its value.
            pub(in crate::config) fn facts(config: &Config, it: &$domain, put: &mut dyn FnMut(&'static str, Value)) {
                $(
                    let value: fn(&Config, &$domain) -> Value =
                        fact!($preset $type, $takes, [$($target)?] [$($shown)?]);
                    put($name, value(config, it));
                )*
            }
        }
    };
}

/// One key's value: of the field that it becomes, or as the row says. A row with neither, or both, matches nothing.
macro_rules! fact {
    (example $type:ty, $takes:expr, [$target:ident] []) => {
        |_, it| {
            const SHOW: fn(&$type) -> Value = Takes::<$type>::shower(&$takes);
            it.$target.as_ref().map_or(Value::NOTHING, SHOW)
        }
    };
    ($preset:ident $type:ty, $takes:expr, [$target:ident] []) => {
        |_, it| {
            const SHOW: fn(&$type) -> Value = Takes::<$type>::shower(&$takes);
            SHOW(&it.$target)
        }
    };
    ($preset:ident $type:ty, $takes:expr, [] [$shown:expr]) => {
        $shown
    };
}

/// The checked table: fields with a `=>` as they are read, the others as the declaration says. `None` only if an
/// error was noted.
macro_rules! build {
    (
        $section:ident ($($domain:ident)::+)
        ($raw:ident: &$own:ident $(, $more:ident: $more_type:ty)*)
        {$(
            $(#[doc = $text:literal])*
            $name:literal $field:ident: $type:ty $(=> $target:ident)? {
                takes: $takes:expr, $preset:ident: $example:tt, reload: $reload:ident,
                $(shown: $shown:expr,)?
                cost: $cost:literal,
            }
        )*}
        {$($into:ident: $from:expr,)*}
    ) => {
        impl $section {
            /// The checked table.
            pub(in crate::config) fn build($raw: &$own $(, $more: $more_type)*) -> Option<$($domain)::+> {
                Some($($domain)::+ {
                    $($($target: built!($preset &$raw.$field),)?)*
                    $($into: $from,)*
                })
            }
        }
    };
}

macro_rules! built {
    (example $field:expr) => {
        of($field)
    };
    ($preset:ident $field:expr) => {
        of($field)?
    };
}
