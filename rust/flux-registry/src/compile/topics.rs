//! All templates of a tenant together: one topic names one device.
//!
//! Products may share a template, or have templates that overlap, as long as the device stands in
//! the same level: then the device's product decides. Were it another level, a topic would name
//! two devices, and a device could speak in another's name by being called like a level of its
//! topic.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use flux_types::TenantId;

use super::Candidate;
use super::products::template_field;
use crate::entity::Product;
use crate::resolve::{TenantTopics, TopicKind};
use crate::template::TopicTemplate;

/// One template of one product, standing for all of its shape.
#[derive(Clone, Copy)]
struct Use<'p> {
    product: &'p Product,
    kind: TopicKind,
    template: &'p TopicTemplate,
    /// Whether the product is among those that were given.
    given: bool,
}

impl Candidate<'_> {
    pub(super) fn topics(&mut self) {
        let products = self.next.products.clone();
        let mut by_tenant: HashMap<TenantId, Vec<Use<'_>>> = HashMap::new();
        for product in products.values() {
            let given = self.product_indices.contains_key(&product.id);
            let uses = TopicKind::ALL.map(|kind| {
                let template = product.template(kind);
                Use { product, kind, template, given }
            });
            by_tenant.entry(product.tenant).or_default().extend(uses);
        }
        let mut topics = HashMap::default();
        for (tenant, mut uses) in by_tenant {
            // what was given stands for its shape, so that problems point there; ids for a
            // report that is the same each time
            uses.sort_unstable_by_key(|u| (!u.given, u.product.id));
            let mut seen = HashSet::new();
            uses.retain(|u| seen.insert(u.template.shape()));
            self.refuse_two_devices(&uses);
            self.refuse_many_shapes(uses.len());
            let mut of_tenant = TenantTopics::default();
            for u in &uses {
                if let Ok(filter) = u.template.filter() {
                    of_tenant.add(u.template, &filter);
                }
            }
            topics.insert(tenant, of_tenant);
        }
        self.next.topics = Arc::new(topics);
    }

    fn refuse_many_shapes(&mut self, count: usize) {
        let max = self.limits.topic_shapes_max;
        if count > max {
            let message = format!("{count} different topic templates are more than {max}");
            let pointer = format!("{}/products", self.prefix);
            let hint = "let products share templates: the device decides the product";
            self.wrong_hint(pointer, "product.templates", message, hint);
        }
    }

    fn refuse_two_devices(&mut self, uses: &[Use<'_>]) {
        let mut by_count: BTreeMap<usize, Vec<Use<'_>>> = BTreeMap::new();
        for u in uses.iter().take(self.limits.topic_shapes_max) {
            by_count.entry(u.template.level_count()).or_default().push(*u);
        }
        for uses in by_count.into_values() {
            for (index, first) in uses.iter().enumerate() {
                let clash = uses[index + 1..].iter().find(|second| {
                    let elsewhere = second.template.device_level() != first.template.device_level();
                    elsewhere && second.template.overlaps(first.template)
                });
                // those given come first, so `first` is given wherever either is
                if let (Some(second), Some(given)) =
                    (clash, self.product_indices.get(&first.product.id))
                {
                    let place = self.place("products", *given);
                    let message = format!(
                        "a topic could name one device by `{}` and another by `{}` of product {}",
                        first.template, second.template, second.product.key
                    );
                    let hint = "let `{device}` be the same level in both, or a plain level differ";
                    let pointer = place.at(template_field(first.kind));
                    self.wrong_hint(pointer, "product.template_ambiguous", message, hint);
                }
            }
        }
    }
}
