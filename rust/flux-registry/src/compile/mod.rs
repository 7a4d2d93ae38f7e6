//! From a document, or a delta and its base, to a snapshot, with all problems at once.
//!
//! Both ways go through one [`Candidate`]: a document is a delta from nothing, so that changing
//! step by step and starting afresh cannot come to different things.

mod accounts;
mod devices;
mod plugins;
mod products;
mod rules;
mod tenants;
mod topics;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use flux_types::{Generation, Key, Problem, ProductId, TenantId};
use serde_json::{Map as JsonMap, Value};
use uuid::Uuid;

use crate::document::{Delete, Delta, Document, Upsert};
use crate::error::ApplyError;
use crate::limits::Limits;
use crate::ports::{ScriptCheck, ScriptKind};
use crate::registry::{Applied, Changes};
use crate::report::Report;
use crate::secret::{Digest, Secrets};
use crate::snapshot::Snapshot;

/// Compiles a whole document within the default limits.
///
/// # Errors
/// Everything that is wrong with it, each with its JSON pointer into the document.
pub fn compile(document: Document, check: &dyn ScriptCheck) -> Result<Snapshot, Vec<Problem>> {
    compile_within(document, check, &Limits::default())
}

/// Compiles a whole document.
///
/// # Errors
/// Everything that is wrong with it, each with its JSON pointer into the document.
pub fn compile_within(
    document: Document,
    check: &dyn ScriptCheck,
    limits: &Limits,
) -> Result<Snapshot, Vec<Problem>> {
    let Document { generation, tenants, principals, products, devices, rules, env } = document;
    let upsert = Upsert { tenants, principals, products, devices, rules, env: Some(env) };
    let nothing = Snapshot::empty();
    let candidate = Candidate::new(&nothing, generation, check, limits, "");
    candidate.compile(upsert, Delete::default()).map(|(snapshot, _)| snapshot)
}

/// Compiles what a delta leads to from its base.
///
/// # Errors
/// [`ApplyError::Conflict`] for another base, and everything that is wrong, each with its JSON
/// pointer into the delta.
pub fn compile_delta(
    base: &Snapshot,
    delta: Delta,
    check: &dyn ScriptCheck,
    limits: &Limits,
) -> Result<Applied, ApplyError> {
    if delta.base_generation != base.generation {
        let (base, current) = (delta.base_generation, base.generation);
        return Err(ApplyError::Conflict { base, current });
    }
    if delta.generation <= base.generation {
        let (given, current) = (delta.generation, base.generation);
        return Err(ApplyError::NotLater { given, current });
    }
    let candidate = Candidate::new(base, delta.generation, check, limits, "/upsert");
    match candidate.compile(delta.upsert, delta.delete) {
        Ok((snapshot, changes)) => Ok(Applied { snapshot: Arc::new(snapshot), changes }),
        Err(problems) => Err(ApplyError::Invalid(problems)),
    }
}

/// The next generation while it is being made.
struct Candidate<'c> {
    base: &'c Snapshot,
    next: Snapshot,
    changes: Changes,
    check: &'c dyn ScriptCheck,
    limits: &'c Limits,
    report: Report,
    /// Where the lists stand in what was given: at its root, or under `/upsert`.
    prefix: &'static str,
    /// Entries that were given and do not hold: what refers to them is not reported again.
    failed: HashSet<Uuid>,
    failed_tenants: HashSet<TenantId>,
    /// Where the products stand that were given.
    product_indices: HashMap<ProductId, usize>,
}

/// One entry of what was given; its pointer is written only when there is something to report.
#[derive(Clone, Copy)]
struct Place {
    prefix: &'static str,
    section: &'static str,
    index: usize,
}

impl Place {
    fn at(self, field: impl std::fmt::Display) -> String {
        format!("{}/{}/{}{field}", self.prefix, self.section, self.index)
    }
}

impl<'c> Candidate<'c> {
    fn new(
        base: &'c Snapshot,
        generation: Generation,
        check: &'c dyn ScriptCheck,
        limits: &'c Limits,
        prefix: &'static str,
    ) -> Self {
        let changes =
            Changes { base_generation: base.generation, generation, ..Changes::default() };
        Self {
            base,
            next: Snapshot { generation, ..base.clone() },
            changes,
            check,
            limits,
            report: Report::default(),
            prefix,
            failed: HashSet::new(),
            failed_tenants: HashSet::new(),
            product_indices: HashMap::new(),
        }
    }

    /// Names are given up before any is taken, so that two entries may swap theirs.
    fn compile(
        mut self,
        upsert: Upsert,
        delete: Delete,
    ) -> Result<(Snapshot, Changes), Vec<Problem>> {
        self.refuse_duplicates(&upsert, &delete);
        let topics_differ = !(upsert.products.is_empty() && delete.products.is_empty());
        self.delete_all(&delete);
        self.give_up_names(&upsert);
        self.tenants(upsert.tenants);
        self.products(upsert.products);
        self.devices(upsert.devices);
        self.accounts(upsert.principals);
        self.rules(upsert.rules);
        if let Some(env) = upsert.env {
            self.env(env);
        }
        if topics_differ {
            self.topics();
        }
        self.refuse_dangling(&delete);
        self.refuse_too_many();
        if self.report.is_empty() {
            self.changes.sort();
            Ok((self.next, self.changes))
        } else {
            Err(self.report.into_problems())
        }
    }

    fn delete_all(&mut self, delete: &Delete) {
        self.delete_tenants(&delete.tenants);
        self.delete_accounts(&delete.principals);
        self.delete_products(&delete.products);
        self.delete_devices(&delete.devices);
        self.delete_rules(&delete.rules);
    }

    fn give_up_names(&mut self, upsert: &Upsert) {
        upsert.tenants.iter().for_each(|entry| self.give_up_tenant_name(entry.id));
        upsert.products.iter().for_each(|entry| self.give_up_product_key(entry.id));
        upsert.devices.iter().for_each(|entry| self.give_up_device_key(entry.id));
        upsert.principals.iter().for_each(|entry| self.give_up_username(entry.id));
    }

    fn refuse_duplicates(&mut self, upsert: &Upsert, delete: &Delete) {
        macro_rules! section {
            ($section:ident) => {
                let ids = upsert.$section.iter().map(|entry| entry.id);
                let given = self.refuse_twice(self.prefix, stringify!($section), ids);
                let deleted = delete.$section.iter().copied();
                for id in self.refuse_twice("/delete", stringify!($section), deleted) {
                    if given.contains(&id) {
                        let pointer = format!("/delete/{}", stringify!($section));
                        let message = format!("{id} is both given and deleted");
                        self.report
                            .push(Problem::new("config.given_and_deleted", message).at(pointer));
                    }
                }
            };
        }
        section!(tenants);
        section!(principals);
        section!(products);
        section!(devices);
        section!(rules);
    }

    fn refuse_twice<I: Copy + Eq + Hash + std::fmt::Display>(
        &mut self,
        prefix: &'static str,
        section: &'static str,
        ids: impl Iterator<Item = I>,
    ) -> HashSet<I> {
        let mut seen = HashSet::with_capacity(ids.size_hint().0);
        for (index, id) in ids.enumerate() {
            if !seen.insert(id) {
                let place = Place { prefix, section, index };
                let field = if prefix == "/delete" { "" } else { "/id" };
                self.wrong(place.at(field), "config.duplicate_id", format!("{id} is given twice"));
            }
        }
        seen
    }

    fn refuse_too_many(&mut self) {
        let counts = [
            ("tenants", self.next.tenants.len(), self.limits.tenants_max),
            ("principals", self.next.accounts.len(), self.limits.principals_max),
            ("products", self.next.products.len(), self.limits.products_max),
            ("devices", self.next.devices.len(), self.limits.devices_max),
            ("rules", self.next.rules.len(), self.limits.rules_max),
        ];
        for (section, count, max) in counts {
            if count > max {
                let message = format!("{count} {section} are more than {section}_max, {max}");
                self.wrong(format!("{}/{section}", self.prefix), "config.too_many", message);
            }
        }
    }

    fn env(&mut self, env: JsonMap<String, Value>) {
        let env = Value::Object(env);
        let prefix = self.prefix;
        self.json_size(|| format!("{prefix}/env"), &env);
        if let Value::Object(env) = env
            && env != *self.base.env
        {
            self.next.env = Arc::new(env);
            self.changes.env = true;
        }
    }

    fn place(&self, section: &'static str, index: usize) -> Place {
        Place { prefix: self.prefix, section, index }
    }

    fn wrong(&mut self, pointer: String, code: &str, message: impl Into<String>) {
        self.report.push(Problem::new(code, message).at(pointer));
    }

    fn wrong_hint(&mut self, pointer: String, code: &str, message: impl Into<String>, hint: &str) {
        self.report.push(Problem::new(code, message).at(pointer).hint(hint));
    }

    /// Whether the tenant is known, and the one the entry had before.
    fn tenant(&mut self, place: Place, tenant: TenantId, before: Option<TenantId>) -> bool {
        if self.failed_tenants.contains(&tenant) {
            return false;
        }
        if !self.next.tenants.contains_key(&tenant) {
            let message = format!("there is no tenant {tenant}");
            self.wrong(place.at("/tenant"), "config.tenant_unknown", message);
            return false;
        }
        if before.is_some_and(|before| before != tenant) {
            let message = "an entry cannot move to another tenant";
            let hint = "delete it and create it there under a new id";
            self.wrong_hint(place.at("/tenant"), "config.tenant_moved", message, hint);
            return false;
        }
        true
    }

    /// The key given, or the id where none is. A key that looks like an id has to be the own one:
    /// devices sign in by either.
    fn key(&mut self, place: Place, field: &str, key: Option<&str>, id: Uuid) -> Option<Key> {
        let own = id.as_hyphenated().to_string();
        let text = key.unwrap_or(&own);
        match Key::new(text) {
            Ok(key) if text.len() == own.len() && text != own && Uuid::try_parse(text).is_ok() => {
                let message = format!("{key} looks like the id of something else");
                self.wrong(place.at(field), "config.key", message);
                None
            }
            Ok(key) => Some(key),
            Err(error) => {
                self.wrong(place.at(field), "config.key", error.to_string());
                None
            }
        }
    }

    fn secrets(
        &mut self,
        place: Place,
        current: Option<&str>,
        previous: Option<&str>,
    ) -> Option<Secrets> {
        let current = self.digest(place, "/secret_sha256", current);
        let previous = self.digest(place, "/secret_sha256_previous", previous);
        Some(Secrets { current: current?, previous: previous? })
    }

    fn digest(&mut self, place: Place, field: &str, hex: Option<&str>) -> Option<Option<Digest>> {
        let Some(hex) = hex else { return Some(None) };
        let digest = Digest::from_hex(hex);
        if digest.is_none() {
            let message = "a digest is 64 hexadecimal digits";
            let hint = "give the SHA-256 of the secret, not the secret";
            self.wrong_hint(place.at(field), "config.digest", message, hint);
        }
        digest.map(Some)
    }

    fn text_size(&mut self, pointer: impl FnOnce() -> String, text: &str, max: usize) -> bool {
        let fits = text.len() <= max;
        if !fits {
            let message = format!("{} bytes are more than {max}", text.len());
            self.wrong(pointer(), "config.too_long", message);
        }
        fits
    }

    fn json_size(&mut self, pointer: impl FnOnce() -> String, json: &Value) -> bool {
        let max = self.limits.json_bytes_max;
        let mut size = Size(0);
        let fits = serde_json::to_writer(&mut size, json).is_ok() && size.0 <= max;
        if !fits {
            let message = format!("{} bytes of JSON are more than {max}", size.0);
            self.wrong(pointer(), "config.too_long", message);
        }
        fits
    }

    /// Whether a script holds; one that was there before is not compiled again.
    fn script(
        &mut self,
        pointer: impl Fn() -> String,
        kind: ScriptKind,
        source: &str,
        before: Option<&str>,
    ) -> bool {
        if before == Some(source) {
            return true;
        }
        if !self.text_size(&pointer, source, self.limits.script_bytes_max) {
            return false;
        }
        let problems = self.check.check(kind, source);
        let holds = problems.is_empty();
        problems.into_iter().for_each(|problem| self.report.push(problem.at(pointer())));
        holds
    }
}

/// Counts what is written to it.
struct Size(usize);

impl std::io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
