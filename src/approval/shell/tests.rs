use super::*;

/// A compact picture of a tree: words as they would be typed, structure as punctuation.
fn picture(node: &Node) -> String {
    match node {
        Node::Simple(simple) => {
            let mut parts: Vec<String> = simple.assignments.iter().map(|a| format!("{}=", a.name)).collect();
            parts.extend(simple.words.iter().map(show));
            parts.extend(simple.redirects.iter().map(|redirect| match redirect {
                Redirect::Read(word) => format!("<{}", show(word)),
                Redirect::Write(word) => format!(">{}", show(word)),
                Redirect::Descriptor => "&".into(),
                Redirect::Text { text, .. } => format!("<<{}", show(text)),
                Redirect::Process { body, .. } => format!("<({})", picture(body)),
            }));
            parts.extend(simple.process_substitutions.iter().map(|node| format!("@{}", picture(node))));
            parts.join(" ")
        }
        Node::Pipeline(stages) => stages.iter().map(picture).collect::<Vec<_>>().join(" | "),
        Node::List(list) => list
            .iter()
            .map(|(node, joint)| {
                let after = match joint {
                    Joint::Then => ";",
                    Joint::And => " &&",
                    Joint::Or => " ||",
                    Joint::Beside => " &",
                };
                format!("{}{after}", picture(node))
            })
            .collect::<Vec<_>>()
            .join(" "),
        Node::Subshell(inner) => format!("({})", picture(inner)),
        Node::Redirected(inner, redirects) => format!("{{{}}}>{}", picture(inner), redirects.len()),
        Node::Function { name, body } => format!("{name}(){{{}}}", picture(body)),
        Node::For { name, body, .. } => format!("for {name} {{{}}}", picture(body)),
        Node::Branches(parts) | Node::Loop(parts) => {
            format!("[{}]", parts.iter().map(picture).collect::<Vec<_>>().join(" / "))
        }
        Node::Words(words) => format!("w:{}", words.iter().map(show).collect::<Vec<_>>().join(" ")),
        Node::Test { words, .. } => {
            format!("t:{}", words.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Node::Arithmetic(word) => format!("a:{}", show(word)),
    }
}

fn show(word: &Word) -> String {
    word.pieces
        .iter()
        .map(|piece| match piece {
            Piece::Quoted(text) => format!("'{text}'"),
            Piece::Bare(text) => text.clone(),
            Piece::Tilde(user) => format!("~{user}"),
            Piece::Parameter(parameter) => format!("${{{}}}", parameter.name),
            Piece::Substitution { text, .. } => format!("$({text})"),
            Piece::Arithmetic(_) => "$((…))".into(),
            Piece::Unknown => "?".into(),
        })
        .collect()
}

#[test]
fn texts_are_read_as_the_shell_reads_them() {
    let table = [
        ("ls -la", "ls -la;"),
        ("ls\ntouch m", "ls; touch m;"),
        ("a && b || c & d", "a && b || c & d;"),
        ("a | b |\n c", "a | b | c;"),
        ("t\\ouch m", "t'o'uch m;"),
        ("ls # ; rm", "ls;"),
        ("echo a#b", "echo a#b;"),
        ("echo $'\\'' ; touch m #'", "echo '''; touch m;"),
        ("cat <<EOF\n$(touch m)\nEOF", "cat <<$(touch m)'\n';"),
        ("cat <<'EOF'; touch m\n$(x)\nEOF", "cat <<'$(x)\n'; touch m;"),
        ("f(){ touch m; }; f", "f(){touch m;}; f;"),
        ("cat <(touch m)", "cat ? @(touch m;);"),
        ("x > a 2>&1 < b", "x >a & <b;"),
        ("[[ -v 'x[$(id)]' ]]", "t:'x[$(id)]';"),
        ("for i in a b; do c $i; done", "for i {c ${i};};"),
        ("if a; then b; else c; fi", "[a; / b; / c;];"),
        ("echo $(( $(touch m) + 1 ))", "echo $((…));"),
        ("x=1 y", "x= y;"),
        ("echo `echo \\`id\\``", "echo $(echo `id`);"),
        ("case x in a) b;; esac", "[w:x / w:a / b;];"),
        ("coproc touch m; wait", "touch m &; wait;"),
    ];
    for (text, expected) in table {
        assert_eq!(read(text).map(|node| picture(&node)), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_is_not_certain_is_not_read() {
    let deep = format!("{}id{}", "( ".repeat(12), " )".repeat(12));
    let nested = format!("{}id{}", "echo $(".repeat(40), ")".repeat(40));
    let ifs = format!("{}id{}", "if true; then ".repeat(500), "; fi".repeat(500));
    let long = "echo a;".repeat(20_000);
    for text in [
        "echo 'a",
        "echo \"a",
        "echo $(a",
        "( ( id ) )",
        "((a); b)",
        "cat <<EOF\nx",
        "ls )",
        "echo $\\\n(id)",
        "a\0b",
        "echo ${a",
        "echo $(case x in a) b;; esac)",
        &deep,
        &nested,
        &ifs,
        &long,
    ] {
        assert!(read(text).is_err(), "{:?}", &text[..text.len().min(60)]);
    }
}

#[test]
fn both_readers_agree_on_plain_commands() {
    for text in [
        "ls -la",
        "a 'b c' \"d e\" f\\ g",
        "a;b",
        "a&b",
        "a || b && c",
        "a | b | c > d 2>&1",
        "a # b\nc",
        "x >| y",
        "x <> y",
        "a >& b",
        "a 3> b",
        "find . -exec x {} \\;",
        "grep 'a|b' f",
        "a\n\nb\n",
        "a |\nb",
    ] {
        let strict = strict::read(text).map(|node| picture(&node));
        assert_eq!(strict, tree::read(text).ok().map(|node| picture(&node)), "{text}");
    }
}
