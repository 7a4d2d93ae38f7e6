//! The extension module fluxhybrid._native: convert, detach, delegate
