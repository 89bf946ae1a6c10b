//! Makes of one list of texts the table of them and a method for each, so that no text is asked for by a key that there is not.

/// Makes of a list of texts the table [`TEXTS`] and a method of [`Words`] for each.
macro_rules! texts {
    ($($(@$kind:ident)? $text:ident $(($($hole:ident $(= $must:ident)?),+))? : $ru:literal, $en:literal;)*) => {
        /// Places among [`TEXTS`].
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy)]
        enum At { $($text),* }

        /// Every text.
        pub const TEXTS: &[super::Known] = &[$(super::Known {
            key: stringify!($text),
            holes: &[$($((stringify!($hole), is!($($must)?))),+)?],
            parts: is!($($kind)?),
            ru: $ru,
            en: $en,
        }),*];

        impl super::Words {
            $(method! { $($kind)? $text [$($($hole)+)?] })*
        }
    };
}

/// Whether there is something.
macro_rules! is {
    () => {
        false
    };
    ($some:ident) => {
        true
    };
}

/// The method of one text.
macro_rules! method {
    ($text:ident []) => {
        #[doc = concat!("The text `", stringify!($text), "`.")]
        pub fn $text(&self) -> &str {
            self.text(At::$text as usize)
        }
    };
    ($text:ident [$($hole:ident)+]) => {
        #[doc = concat!("The text `", stringify!($text), "`.")]
        pub fn $text(&self, $($hole: impl std::fmt::Display),+) -> String {
            self.filled(At::$text as usize, &[$((stringify!($hole), &$hole)),+])
        }
    };
    (count $text:ident [$count:ident $($hole:ident)*]) => {
        #[doc = concat!("The text `", stringify!($text), "`.")]
        pub fn $text(&self, $count: u64 $(, $hole: impl std::fmt::Display)*) -> String {
            let number = crate::report::format::whole($count, self.language);
            self.counted(At::$text as usize, $count, &[(stringify!($count), &number) $(, (stringify!($hole), &$hole))*])
        }
    };
    (list $text:ident []) => {
        #[doc = concat!("The names of the list `", stringify!($text), "`.")]
        pub fn $text(&self) -> impl Iterator<Item = &str> {
            self.names(At::$text as usize)
        }
    };
}
