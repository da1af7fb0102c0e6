//! Status numbers and their reasons (`spec/transports` §1.6).

use std::fmt;

/// Instead of an answer, when as much is under way as may be (`spec/transports` §1.4).
pub const BUSY: &str = "Server busy, try again later";

/// A status that nodes and clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(u16);

macro_rules! statuses {
    ($($name:ident = $code:literal, $reason:literal;)*) => {
        impl Status {
            $(#[doc = $reason] pub const $name: Self = Self($code);)*

            /// All there are.
            pub const ALL: [Self; [$($code),*].len()] = [$(Self::$name),*];

            /// The status with this number; one that is not in the table counts as 500.
            #[must_use]
            pub const fn from_code(code: u16) -> Self {
                match code {
                    $($code => Self::$name,)*
                    _ => Self::INTERNAL_SERVER_ERROR,
                }
            }

            /// The reason phrase.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "Internal Server Error",
                }
            }
        }
    };
}

statuses! {
    OK = 200, "OK";
    BAD_REQUEST = 400, "Bad Request";
    UNAUTHORIZED = 401, "Unauthorized";
    FORBIDDEN = 403, "Forbidden";
    NOT_FOUND = 404, "Not Found";
    NOT_ACCEPTABLE = 406, "Not Acceptable";
    GONE = 410, "Gone";
    PAYLOAD_TOO_LARGE = 413, "Payload Too Large";
    MISDIRECTED_REQUEST = 421, "Misdirected Request";
    TOO_MANY_REQUESTS = 429, "Too Many Requests";
    INTERNAL_SERVER_ERROR = 500, "Internal Server Error";
    BAD_GATEWAY = 502, "Bad Gateway";
    SERVICE_UNAVAILABLE = 503, "Service Unavailable";
    GATEWAY_TIMEOUT = 504, "Gateway Timeout";
}

impl Status {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub fn place(self) -> usize {
        Self::ALL.iter().position(|status| *status == self).unwrap_or(0)
    }

    /// Whether a `sequence` goes on after it.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self.0, 200..=299)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_numbers_count_as_500() {
        for (place, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!((Status::from_code(status.code()), status.place()), (status, place));
            assert_ne!(status.reason(), "");
        }
        for code in [0, 201, 418, 501, 65_535] {
            assert_eq!(Status::from_code(code), Status::INTERNAL_SERVER_ERROR);
        }
    }
}
