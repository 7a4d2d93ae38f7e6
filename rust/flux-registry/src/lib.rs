//! Compiled configuration: principals, credentials, access rules, topic to product to device
