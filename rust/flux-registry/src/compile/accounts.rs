//! Accounts that are not devices.

use std::sync::Arc;

use flux_types::{PrincipalId, TopicFilter};
use uuid::Uuid;

use super::{Candidate, Place};
use crate::access::Identity;
use crate::document::PrincipalEntry;
use crate::entity::Account;
use crate::snapshot::{Login, NameRef};

impl Candidate<'_> {
    pub(super) fn give_up_username(&mut self, id: PrincipalId) {
        if let Some(account) = self.next.accounts.get(&id) {
            let name = NameRef { tenant: account.tenant, key: account.username.as_str() };
            self.next.logins.remove(&name);
        }
    }

    pub(super) fn delete_accounts(&mut self, ids: &[PrincipalId]) {
        for (index, id) in ids.iter().enumerate() {
            self.give_up_username(*id);
            match self.next.accounts.remove(id) {
                Some(_) => self.changes.removed.push(Identity::Account(*id)),
                None => self.nothing_to_delete("principals", index, id),
            }
        }
    }

    pub(super) fn accounts(&mut self, entries: Vec<PrincipalEntry>) {
        for (index, entry) in entries.into_iter().enumerate() {
            let (id, place) = (entry.id, self.place("principals", index));
            let Some(account) = self.account(place, &entry) else { continue };
            let base = self.base;
            self.changes.account(base.accounts.get(&id).map(Arc::as_ref), &account);
            let account = Arc::new(account);
            let name = (account.tenant, account.username.clone());
            if self.take_name(place, "/username", name, Login::Account(Arc::clone(&account))) {
                self.next.accounts.insert(id, account);
            }
        }
    }

    fn account(&mut self, place: Place, entry: &PrincipalEntry) -> Option<Account> {
        let before = self.base.accounts.get(&entry.id).map(|account| account.tenant);
        let tenant = self.tenant(place, entry.tenant, before);
        // no account has a device's id, so nil stands for "none of its own"
        let username = self.key(place, "/username", Some(&entry.username), Uuid::nil());
        let (current, previous) = (&entry.secret_sha256, &entry.secret_sha256_previous);
        let secrets = self.secrets(place, current.as_deref(), previous.as_deref());
        let publish = self.grants(place, "/publish", &entry.publish);
        let subscribe = self.grants(place, "/subscribe", &entry.subscribe);
        tenant.then_some(())?;
        Some(Account {
            id: entry.id,
            tenant: entry.tenant,
            username: username?,
            enabled: entry.enabled,
            publish: publish?.into(),
            subscribe: subscribe?.into(),
            secrets: secrets?,
        })
    }

    fn grants(&mut self, place: Place, field: &str, texts: &[String]) -> Option<Vec<TopicFilter>> {
        let max = self.limits.grants_max;
        if texts.len() > max {
            let message = format!("{} filters are more than {max}", texts.len());
            self.wrong(place.at(field), "config.too_many", message);
            return None;
        }
        let filter = |(index, text): (usize, &String)| {
            let message = match TopicFilter::new(text) {
                Ok(_) if field == "/publish" && text.starts_with('$') => {
                    "topics that begin with `$` are the server's: nobody publishes there".to_owned()
                }
                Ok(_) if text.starts_with("$share/") => {
                    "grant the filter alone: it holds for shared subscriptions too".to_owned()
                }
                Ok(filter) => return Some(filter),
                Err(error) => error.to_string(),
            };
            let pointer = place.at(format_args!("{field}/{index}"));
            self.wrong(pointer, "principal.grant", message);
            None
        };
        let filters: Vec<_> = texts.iter().enumerate().map(filter).collect();
        filters.into_iter().collect()
    }
}
