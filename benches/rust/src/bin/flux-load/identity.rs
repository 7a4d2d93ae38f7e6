//! Who each connection says it is.
//!
//! Owns client identifiers, user names and passwords. Must never print a password.

use std::fmt;

use crate::failure::Failure;
use crate::options::Options;

/// Name and password of one connection.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Publisher,
    Subscriber,
}

/// Who each connection says it is.
#[derive(Debug, Clone)]
pub(crate) struct Identities {
    client_id: String,
    publisher: Credentials,
    subscriber: Credentials,
    /// By publisher; goes before `publisher`.
    listed: Vec<Credentials>,
}

impl Identities {
    pub(crate) fn new(options: &Options) -> Result<Self, Failure> {
        let listed = match &options.credentials {
            None => Vec::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| Failure::File {
                    what: format!("--credentials {} cannot be read", path.display()),
                    source,
                })?;
                let listed = read(&text)?;
                if listed.len() < options.publishers as usize {
                    let (have, want) = (listed.len(), options.publishers);
                    let text = format!("--credentials has {have} lines for {want} publishers");
                    return Err(Failure::Options(text));
                }
                listed
            }
        };
        Ok(Self {
            client_id: options.client_id.clone(),
            publisher: Credentials {
                username: options.username.clone(),
                password: options.password.clone(),
            },
            subscriber: Credentials {
                username: options.subscriber_username.clone(),
                password: options.subscriber_password.clone(),
            },
            listed,
        })
    }

    pub(crate) fn client_id(&self, role: Role, n: u32) -> String {
        let kind = if role == Role::Publisher { 'p' } else { 's' };
        format!("{kind}{}", numbered(&self.client_id, n))
    }

    pub(crate) fn credentials(&self, role: Role, n: u32) -> Credentials {
        let template = match role {
            Role::Publisher => match self.listed.get(n as usize) {
                Some(listed) => return listed.clone(),
                None => &self.publisher,
            },
            Role::Subscriber => &self.subscriber,
        };
        let fill = |text: &Option<String>| text.as_deref().map(|text| numbered(text, n));
        Credentials { username: fill(&template.username), password: fill(&template.password) }
    }
}

/// A template with its number in it.
pub(crate) fn numbered(template: &str, n: u32) -> String {
    template.replace("{n}", &n.to_string())
}

fn read(text: &str) -> Result<Vec<Credentials>, Failure> {
    let line = |(index, line): (usize, &str)| {
        let (username, password) = line.split_once(' ').ok_or_else(|| {
            let text =
                format!("--credentials, line {}: no blank between name and password", index + 1);
            Failure::Options(text)
        })?;
        let (username, password) = (Some(username.to_owned()), Some(password.to_owned()));
        Ok(Credentials { username, password })
    };
    text.lines().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_user_and_password_by_line() {
        let listed = read("d0 secret\nd1 other secret\n").unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[1].username.as_deref(), Some("d1"));
        assert_eq!(listed[1].password.as_deref(), Some("other secret"));
        assert!(read("alone\n").is_err());
    }

    #[test]
    fn a_password_is_not_printed() {
        let shown = format!("{:?}", read("d0 hunter2").unwrap());
        assert!(shown.contains("d0") && !shown.contains("hunter2"));
    }
}
