//! How much configuration there may be.

/// What a configuration may not exceed. Every field has a default and can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Tenants.
    pub tenants_max: usize,
    /// Products, over all tenants.
    pub products_max: usize,
    /// Devices, over all tenants.
    pub devices_max: usize,
    /// Accounts that are not devices, over all tenants.
    pub principals_max: usize,
    /// Rules, over all tenants.
    pub rules_max: usize,
    /// Different topic templates per tenant, not counting what their captures are called.
    pub topic_shapes_max: usize,
    /// Filters an account may publish to, and as many it may subscribe to.
    pub grants_max: usize,
    /// Topic filters, products and devices of one rule, together.
    pub rule_sources_max: usize,
    /// Actions of one rule.
    pub actions_max: usize,
    /// Bytes of one script.
    pub script_bytes_max: usize,
    /// Bytes of a topic template.
    pub template_bytes_max: usize,
    /// Bytes of a name, an alarm's name, a command's name, a tag's name or its value.
    pub name_bytes_max: usize,
    /// Bytes of an alarm's text.
    pub text_bytes_max: usize,
    /// Tags of one device.
    pub tags_max: usize,
    /// Mapped values of one product.
    pub decode_values_max: usize,
    /// Plugins in the chain of one product or rule.
    pub plugin_chain_max: usize,
    /// Bytes of JSON of one product's metadata, one use of a plugin's settings, one action's
    /// payload or parameters, and of `env`.
    pub json_bytes_max: usize,
    /// Bytes of a webhook's URL.
    pub url_bytes_max: usize,
    /// Headers of one webhook.
    pub headers_max: usize,
    /// Milliseconds an action may wait at most before it is too old.
    pub action_max_age_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tenants_max: 10_000,
            products_max: 10_000,
            devices_max: 2_000_000,
            principals_max: 100_000,
            rules_max: 100_000,
            topic_shapes_max: 4096,
            grants_max: 64,
            rule_sources_max: 1024,
            actions_max: 16,
            script_bytes_max: 64 * 1024,
            template_bytes_max: 512,
            name_bytes_max: 256,
            text_bytes_max: 4096,
            tags_max: 32,
            decode_values_max: 1024,
            plugin_chain_max: 8,
            json_bytes_max: 256 * 1024,
            url_bytes_max: 2048,
            headers_max: 32,
            action_max_age_ms_max: 30 * 24 * 60 * 60 * 1000,
        }
    }
}
