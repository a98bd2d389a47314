//! What a command answers: text for standard output, notes for standard error, and how it went.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::page::{ERROR, paint};
use crate::{json, words};

/// How it went; the exit code of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// Done, or compatible.
    Done = 0,
    /// Incompatible or refused.
    Refused = 1,
    /// Wrong usage or input.
    Wrong = 2,
    /// Nothing could be run.
    Nothing = 3,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For standard output.
    pub(crate) text: String,
    /// For standard error.
    pub(crate) notes: String,
    /// How it went.
    pub(crate) status: Status,
}

impl Answer {
    /// An answer that went well.
    pub(crate) fn done(text: String) -> Self {
        Self { text, notes: String::new(), status: Status::Done }
    }

    /// Writes everything and tells the exit code. A reader that has gone away is not an error.
    pub(crate) fn print(self) -> ExitCode {
        let notes = anstream::AutoStream::auto(io::stderr()).write_all(self.notes.as_bytes());
        // Without a standard error there is nobody to tell.
        drop(notes);
        let mut out = anstream::AutoStream::auto(io::stdout().lock());
        match out.write_all(self.text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                let note = format!("{}: standard output: {error}\n", paint(ERROR, "error"));
                drop(anstream::AutoStream::auto(io::stderr()).write_all(note.as_bytes()));
                ExitCode::from(Status::Wrong as u8)
            }
            _ => ExitCode::from(self.status as u8),
        }
    }
}

/// Why a command has no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One sentence, without an end.
    pub(crate) message: String,
    /// Further lines for people.
    pub(crate) details: String,
    /// What may have been meant instead.
    pub(crate) candidates: Vec<Value>,
    /// How bad it is.
    pub(crate) status: Status,
}

impl Failure {
    /// A failure that a sentence explains.
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self { message: message.into(), details: String::new(), candidates: Vec::new(), status }
    }

    /// Wrong usage or input.
    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Self::new(Status::Wrong, message)
    }

    /// Adds lines for people.
    pub(crate) fn with_details(mut self, details: String) -> Self {
        self.details = details;
        self
    }

    /// As an answer: an object on standard output, or a message on standard error.
    pub(crate) fn into_answer(self, as_json: bool) -> Answer {
        let Self { message, details, candidates, status } = self;
        if as_json {
            let object = json!({ "schema": "vcpu.error/1", "error": message, "candidates": candidates });
            return Answer { text: json::document(&object), notes: String::new(), status };
        }
        let notes = format!("{}: {}\n{details}", paint(ERROR, "error"), words::clean(&message));
        Answer { text: String::new(), notes, status }
    }
}
