//! `cargo xtask import-machine FILE`: a dump in any readable format becomes `testdata/hosts/NAME.json`.
//!
//! The reading is done by an example of cpu-dumps, since xtask depends on no crate of the workspace.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::cargo;

const USAGE: &str = "cargo xtask import-machine FILE [--name NAME] [--source TEXT]";
/// Where machines are kept, from the repository.
const HOSTS: &str = "testdata/hosts";

/// What to import.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    file: String,
    name: String,
    source: Option<String>,
}

/// A document, and what to look at before it is kept.
struct Imported {
    document: String,
    review: String,
}

/// Imports one file.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<(), String> {
    let request = parse(args)?;
    let review = import(&root.join(HOSTS), &request, |request| convert(root, request))?;
    println!("{HOSTS}/{}.json written; review before you commit it\n{review}", request.name);
    Ok(())
}

fn parse(args: &[&str]) -> Result<Request, String> {
    let (mut file, mut name, mut source) = (None, None, None);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let slot = match *arg {
            "--name" => &mut name,
            "--source" => &mut source,
            odd if odd.starts_with('-') => return Err(format!("import-machine: unknown argument `{odd}`; {USAGE}")),
            _ => &mut file,
        };
        let value = if arg.starts_with("--") { rest.next().ok_or_else(|| format!("{arg} of what? {USAGE}"))? } else { arg };
        if slot.replace((*value).to_owned()).is_some() {
            return Err(format!("import-machine: `{value}` is one too many; {USAGE}"));
        }
    }
    let file = file.ok_or_else(|| format!("import-machine: which file? {USAGE}"))?;
    let name = name.unwrap_or_else(|| name_of(&file));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) || name.starts_with('-') {
        return Err(format!("`{name}` is not a name of a machine: use a-z, 0-9 and -, such as intel-icelake-8380"));
    }
    if source.as_deref().is_some_and(|source| source.trim().is_empty()) {
        return Err("--source says where the dump comes from; it cannot be empty".to_owned());
    }
    Ok(Request { file, name, source })
}

/// A name from the file's: its stem in lower case, with `-` for everything else.
fn name_of(file: &str) -> String {
    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// Converts and writes; nothing is replaced, and a file is there as a whole or not at all. Returns what to review.
fn import(hosts: &Path, request: &Request, convert: impl FnOnce(&Request) -> Result<Imported, String>) -> Result<String, String> {
    let target = hosts.join(format!("{}.json", request.name));
    let exists = || format!("{} exists: choose another --name, or remove it first", target.display());
    if target.exists() {
        return Err(exists());
    }
    let imported = convert(request)?;
    let scratch = hosts.join(format!(".{}.{}.tmp", request.name, std::process::id()));
    let written = write_new(&scratch, &imported.document).and_then(|()| {
        // A link, unlike a rename, fails if somebody else was faster.
        fs::hard_link(&scratch, &target).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => exists(),
            _ => format!("{}: {error}", target.display()),
        })
    });
    let _ = fs::remove_file(&scratch);
    written.map(|()| imported.review)
}

fn write_new(path: &Path, text: &str) -> Result<(), String> {
    let write = || {
        let mut file = fs::File::create_new(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))
}

/// Runs the example that reads dumps.
fn convert(root: &Path, request: &Request) -> Result<Imported, String> {
    let mut command = cargo::command();
    command.args(["run", "--quiet", "--package", "cpu-dumps", "--example", "import", "--manifest-path"]);
    command.arg(root.join("Cargo.toml")).args(["--", &request.file, &request.name]).args(&request.source);
    let output = command.output().map_err(|error| format!("cargo: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(said);
    }
    let document = String::from_utf8(output.stdout).map_err(|error| format!("the document: {error}"))?;
    Ok(Imported { document, review: said })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn arguments() {
        let request = |name: &str, source: Option<&str>| Request {
            file: "a/Some CPU_1.txt".into(),
            name: name.into(),
            source: source.map(Into::into),
        };
        assert_eq!(parse(&["a/Some CPU_1.txt"]), Ok(request("some-cpu-1", None)));
        assert_eq!(parse(&["--source", "x", "a/Some CPU_1.txt", "--name", "n"]), Ok(request("n", Some("x"))));
        for (args, message) in [
            (&[][..], "which file?"),
            (&["f", "g"][..], "`g` is one too many"),
            (&["f", "--name"][..], "--name of what?"),
            (&["f", "--name", "../x"][..], "`../x` is not a name"),
            (&["f", "--name", "Upper"][..], "`Upper` is not a name"),
            (&["---.txt"][..], "unknown argument `---.txt`"),
            (&["_.txt"][..], "`` is not a name"),
            (&["f", "--source", " "][..], "cannot be empty"),
            (&["f", "--odd"][..], "unknown argument `--odd`"),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(message), "{args:?}: {error}");
        }
    }

    /// A folder that is removed again.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-import-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("a writable temporary folder");
            Self(folder)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).expect("the folder");
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn request() -> Request {
        Request { file: "f".into(), name: "machine".into(), source: None }
    }

    fn imported(document: &str) -> Imported {
        Imported { document: document.into(), review: "look".into() }
    }

    #[test]
    fn a_machine_is_written_once() {
        let folder = Folder::new("once");
        assert_eq!(import(&folder.0, &request(), |_| Ok(imported("{}\n"))), Ok("look".into()));
        assert_eq!(folder.names(), ["machine.json"]);
        let again = import(&folder.0, &request(), |_| unreachable!("nothing is read for a name that is taken"));
        assert!(again.unwrap_err().contains("exists: choose another --name"));
        assert_eq!(fs::read_to_string(folder.0.join("machine.json")).unwrap(), "{}\n");
    }

    #[test]
    fn whoever_is_faster_keeps_the_name() {
        let folder = Folder::new("race");
        let target = folder.0.join("machine.json");
        let error = import(&folder.0, &request(), |_| {
            fs::write(&target, "first").unwrap();
            Ok(imported("second"))
        });
        assert!(error.unwrap_err().contains("exists"));
        assert_eq!(fs::read_to_string(&target).unwrap(), "first");
        assert_eq!(folder.names(), ["machine.json"]);
    }

    #[test]
    fn what_cannot_be_read_leaves_nothing() {
        let folder = Folder::new("fail");
        assert_eq!(import(&folder.0, &request(), |_| Err("f:3: odd".into())), Err("f:3: odd".into()));
        assert_eq!(folder.names(), [""; 0]);
        let error = import(&folder.0.join("none"), &request(), |_| Ok(imported(""))).unwrap_err();
        assert!(error.contains(".machine."), "{error}");
    }
}
