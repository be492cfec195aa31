//! Code that must not compile, and the compiler's message about it.
//!
//! The tests run the compiler on the crate as it was built for them, so nothing is built a second time. They compare
//! only the words that come from the crate, so that every version of the compiler passes.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn delete_on_abaco_does_not_compile_and_the_message_gives_the_reason() {
    let program = |service: &str| {
        format!(
            "pub fn remove(client: &steadfast::Client<steadfast::{service}>) {{
                let _ = client.delete(\"/business-partners\");
            }}"
        )
    };
    for service in ["FsmNavigator", "Stayforge"] {
        assert_eq!(compile(&program(service)), Ok(()), "{service}");
    }
    let message = compile(&program("Abaco")).unwrap_err();
    for expected in [
        "error[E0277]: `Abaco` does not accept DELETE requests with an API key",
        "this service rejects every DELETE request with an API key",
        "API_KEY_DELETE_FORBIDDEN",
        "delete the record in its web app",
    ] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_row_of_codes_without_exactly_two_doc_lines_does_not_compile_and_the_message_names_it() {
    let program = |code: &str, response: &str| {
        format!(
            "steadfast::error_codes! {{
                /// The codes of a depot.
                pub enum Code of \"depot\" {{
                    {code}
                    Jammed = \"jammed\" 500 Unavailable Backoff Possible
                }}
                answers {{
                    {response}
                    404..=404 NotFound Unstated Possible
                }}
            }}"
        )
    };
    let (one, two, three) = ("/// One.\n", "/// One.\n/// Two.\n", "/// One.\n/// Two.\n/// Three.\n");
    assert_eq!(compile(&program(two, two)), Ok(()));
    for (code, response, row) in [
        (one, two, "the row `Jammed`"),
        (three, two, "the row `Jammed`"),
        ("", two, "the row `Jammed`"),
        (two, one, "the row `404..=404`"),
    ] {
        let message = compile(&program(code, response)).unwrap_err();
        let expected =
            format!("{row} of `error_codes!` needs two doc lines: the meaning of the error, then the advice");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn a_route_of_another_service_does_not_compile() {
    let program = |service: &str| {
        format!(
            "pub fn read(client: &steadfast::Client<steadfast::{service}>) {{
                let _ = client.call(steadfast::fsm_navigator::Route::Job(7));
            }}"
        )
    };
    assert_eq!(compile(&program("FsmNavigator")), Ok(()));
    let message = compile(&program("Abaco")).unwrap_err();
    assert!(message.contains("expected `Route<Abaco>`, found `Route<FsmNavigator>`"), "{message}");
}

/// The number of programs, each of which is a file. The tests run at the same time.
static PROGRAMS: AtomicUsize = AtomicUsize::new(0);

/// Compiles a library that uses this crate. The error is the output of the compiler.
fn compile(program: &str) -> Result<(), String> {
    let test = std::env::current_exe().unwrap();
    let libraries = test.parent().unwrap();
    let newest = std::fs::read_dir(libraries)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libsteadfast-") && name.ends_with(".rlib")
        })
        .max_by_key(|path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok())
        .expect("the crate was built for this test");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = folder.join(format!("program{}.rs", PROGRAMS.fetch_add(1, Ordering::Relaxed)));
    std::fs::write(&source, program).unwrap();
    let output = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()))
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--cap-lints=allow"])
        .arg("-L")
        .arg(format!("dependency={}", libraries.display()))
        .arg("--extern")
        .arg(format!("steadfast={}", newest.display()))
        .arg("--out-dir")
        .arg(&folder)
        .arg(&source)
        .output()
        .expect("rustc runs");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
