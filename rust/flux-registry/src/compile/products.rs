//! Products.

use std::sync::Arc;

use flux_types::ProductId;

use super::{Candidate, Place};
use crate::document::{DecodeSpec, ProductEntry};
use crate::entity::Product;
use crate::ports::ScriptKind;
use crate::resolve::TopicKind;
use crate::snapshot::{Name, NameRef};
use crate::template::TopicTemplate;

/// The entry's field for the template of a kind.
pub(super) fn template_field(kind: TopicKind) -> &'static str {
    match kind {
        TopicKind::Telemetry => "/topic_template",
        TopicKind::Command => "/command_topic_template",
        TopicKind::Reply => "/reply_topic_template",
    }
}

impl Candidate<'_> {
    pub(super) fn give_up_product_key(&mut self, id: ProductId) {
        if let Some(product) = self.next.products.get(&id) {
            let name = NameRef { tenant: product.tenant, key: product.key.as_str() };
            self.next.product_keys.remove(&name);
        }
    }

    pub(super) fn delete_products(&mut self, ids: &[ProductId]) {
        for (index, id) in ids.iter().enumerate() {
            self.give_up_product_key(*id);
            match self.next.products.remove(id) {
                Some(_) => self.changes.products_removed.push(*id),
                None => self.nothing_to_delete("products", index, id),
            }
        }
    }

    pub(super) fn products(&mut self, entries: Vec<ProductEntry>) {
        for (index, entry) in entries.into_iter().enumerate() {
            let (id, place) = (entry.id, self.place("products", index));
            self.product_indices.insert(id, index);
            let Some(product) = self.product(place, entry) else {
                self.failed.insert(id.0);
                continue;
            };
            let base = self.base;
            self.changes.product(base.products.get(&id).map(Arc::as_ref), &product);
            self.take_product_key(place, &product);
            self.next.products.insert(id, Arc::new(product));
        }
    }

    fn take_product_key(&mut self, place: Place, product: &Product) {
        let name = Name { tenant: product.tenant, key: product.key.clone() };
        if let Some(other) = self.next.product_keys.get(&name) {
            let message = format!("`{}` is the key of product {other} already", product.key);
            self.wrong(place.at("/key"), "config.name_taken", message);
            return;
        }
        self.next.product_keys.insert(name, product.id);
    }

    fn product(&mut self, place: Place, entry: ProductEntry) -> Option<Product> {
        let base = self.base;
        let before = base.products.get(&entry.id).map(Arc::as_ref);
        let tenant = self.tenant(place, entry.tenant, before.map(|product| product.tenant));
        let key = self.key(place, "/key", entry.key.as_deref(), entry.id.0);
        let telemetry = self.template(place, TopicKind::Telemetry, &entry.topic_template);
        let command = self.template(place, TopicKind::Command, &entry.command_topic_template);
        let reply = self.template(place, TopicKind::Reply, &entry.reply_topic_template);
        let decode = self.decode(place, &entry.decode, before.map(|product| &product.decode));
        let transform = entry.transform.as_deref().is_none_or(|source| {
            let before = before.and_then(|product| product.transform.as_deref());
            self.script(|| place.at("/transform"), ScriptKind::Transform, source, before)
        });
        let metadata = self.json_size(|| place.at("/metadata"), &entry.metadata);
        let chain = self.plugin_chain(place, &entry.plugin_chain);
        (tenant && decode && transform && metadata && chain).then_some(())?;
        let product = Product {
            id: entry.id,
            tenant: entry.tenant,
            key: key?,
            telemetry: telemetry?,
            command: command?,
            reply: reply?,
            decode: entry.decode,
            plugin_chain: entry.plugin_chain,
            transform: entry.transform.map(Into::into),
            metadata: entry.metadata,
        };
        self.tells_its_topics_apart(place, &product).then_some(product)
    }

    fn template(&mut self, place: Place, kind: TopicKind, text: &str) -> Option<TopicTemplate> {
        let pointer = || place.at(template_field(kind));
        if !self.text_size(pointer, text, self.limits.template_bytes_max) {
            return None;
        }
        TopicTemplate::parse(text)
            .map_err(|error| {
                let message = error.to_string();
                self.wrong_hint(pointer(), "product.template", message, error.hint());
            })
            .ok()
    }

    /// A message has to be telemetry, a reply or a command, whatever its topic.
    fn tells_its_topics_apart(&mut self, place: Place, product: &Product) -> bool {
        let mut apart = true;
        for (index, later) in TopicKind::ALL.into_iter().enumerate() {
            for earlier in &TopicKind::ALL[..index] {
                let (a, b) = (product.template(*earlier), product.template(later));
                if a.overlaps(b) {
                    let message = format!("a topic could be both `{a}` and `{b}`");
                    let hint = "let them differ in a level that is plain text in both";
                    let pointer = place.at(template_field(later));
                    self.wrong_hint(pointer, "product.template_ambiguous", message, hint);
                    apart = false;
                }
            }
        }
        apart
    }

    fn decode(&mut self, place: Place, spec: &DecodeSpec, before: Option<&DecodeSpec>) -> bool {
        if before == Some(spec) {
            return true;
        }
        let mapping = match spec {
            DecodeSpec::Json(mapping) => mapping,
            DecodeSpec::Plugin(used) => return self.plugin(place, "/decode", used),
        };
        let count = mapping.values.as_ref().map_or(0, std::collections::BTreeMap::len);
        if count > self.limits.decode_values_max {
            let message = format!("{count} values are more than {}", self.limits.decode_values_max);
            self.wrong(place.at("/decode/values"), "config.too_many", message);
            return false;
        }
        let problems = self.check.check_mapping(mapping);
        let holds = problems.is_empty();
        for problem in problems {
            let pointer = place.at(format_args!("/decode{}", problem.pointer));
            self.report.push(problem.at(pointer));
        }
        holds
    }
}
