//! `flux-load`: loads an MQTT server on this machine and tells what became of every message.
//!
//! Owns nothing but the way from the command line to the exit code. Must never load another
//! machine, and must end by itself whatever the server does.

mod conduct;
mod failure;
mod identity;
mod idle;
mod link;
mod machine;
mod options;
mod payload;
mod publisher;
mod report;
mod search;
mod shared;
mod subscriber;
mod tracker;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use failure::Failure;
use options::{Options, Plan};

/// The exit code of a run that lost messages, where that was not to be.
const LOST: u8 = 1;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(clean) if !clean && options.fail_on_loss => ExitCode::from(LOST),
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("flux-load: {}", failure.text());
            ExitCode::from(failure.code())
        }
    }
}

/// Does what was asked; tells whether nothing was lost.
fn run(options: &Options) -> Result<bool, Failure> {
    let plan = Plan::new(options)?;
    machine::allow_open_files()?;
    if options.idle {
        let idle = idle::idle(&plan, options.subscribers > 0)?;
        let text = format!(
            "{} connections: {:.0} B each, {:.2} % of a processor, {:.0} connects/s",
            idle.connections, idle.bytes_per_connection, idle.cpu_percent, idle.connects_per_s
        );
        show(options, &idle, &text)?;
        return Ok(true);
    }
    if options.search {
        let found = search::search(options, &plan)?;
        let text = format!("highest rate without loss: {:.0}/s\n{}", found.rate, found.best);
        show(options, &found, &text)?;
        return Ok(found.best.is_clean());
    }
    let report = conduct::conduct(&plan)?;
    show(options, &report, &report.to_string())?;
    Ok(report.is_clean())
}

fn show(options: &Options, result: &impl Serialize, text: &str) -> Result<(), Failure> {
    if options.json {
        let json =
            serde_json::to_string(result).map_err(|error| Failure::Worker(error.to_string()))?;
        println!("{json}");
    } else {
        println!("{text}");
    }
    Ok(())
}
