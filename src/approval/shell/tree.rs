//! The full reader: `brush-parser`'s tree → ours.
//!
//! The parser sees only text that [`scan`] found shallow and balanced; a panic in it is a failure to read.
//! Every substitution that the scan saw must turn up in the tree's words, and no other.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use brush_parser::{Parser, ParserOptions, SourceSpan, ast};

use super::{Assignment, Joint, Node, Redirect, Simple, Unreadable, Word, scan};

pub(super) fn read(text: &str) -> Result<Node, Unreadable> {
    let scanned = scan::scan(text)?;
    let options = ParserOptions::default();
    let parsed = catch_unwind(AssertUnwindSafe(|| Parser::new(Cursor::new(text.as_bytes()), &options).parse_program()));
    let program = parsed.map_err(|_| Unreadable::Syntax)?.map_err(|_| Unreadable::Syntax)?;
    let mut builder = Builder { text, substitutions: Vec::new(), process_substitutions: 0 };
    let mut list = Vec::new();
    for command in &program.complete_commands {
        builder.list_into(command, &mut list)?;
    }
    let mut expected: Vec<String> = scanned.substitutions.into_iter().map(|range| comparable(&text[range])).collect();
    expected.sort_unstable();
    let mut found: Vec<String> = builder.substitutions.iter().map(|text| comparable(text)).collect();
    found.sort_unstable();
    if expected != found || scanned.process_substitutions != builder.process_substitutions {
        return Err(Unreadable::Hidden);
    }
    Ok(Node::List(list))
}

/// The text of a substitution without what the two sides know differently: the blanks around it, and the
/// backslashes that backticks take away.
fn comparable(text: &str) -> String {
    text.trim().replace('\\', "")
}

struct Builder<'t> {
    text: &'t str,
    /// Every substitution in a word of the tree, in no particular order.
    substitutions: Vec<String>,
    process_substitutions: usize,
}

impl Builder<'_> {
    fn note(&mut self, word: &Word) {
        word.substitutions(&mut |text| self.substitutions.push(text.to_owned()));
    }

    fn word(&mut self, raw: &str) -> Result<Word, Unreadable> {
        let word = Word::read(raw)?;
        self.note(&word);
        Ok(word)
    }

    fn expansions(&mut self, raw: &str) -> Result<Word, Unreadable> {
        let word = Word::read_expansions(raw)?;
        self.note(&word);
        Ok(word)
    }

    fn words<'w>(&mut self, words: impl IntoIterator<Item = &'w ast::Word>) -> Result<Vec<Word>, Unreadable> {
        words.into_iter().map(|word| self.word(&word.value)).collect()
    }

    fn list(&mut self, list: &ast::CompoundList) -> Result<Node, Unreadable> {
        let mut nodes = Vec::new();
        self.list_into(list, &mut nodes)?;
        Ok(Node::List(nodes))
    }

    fn list_into(&mut self, list: &ast::CompoundList, nodes: &mut Vec<(Node, Joint)>) -> Result<(), Unreadable> {
        for ast::CompoundListItem(and_or, separator) in &list.0 {
            let mut current = self.pipeline(&and_or.first)?;
            for next in &and_or.additional {
                let (joint, pipeline) = match next {
                    ast::AndOr::And(pipeline) => (Joint::And, pipeline),
                    ast::AndOr::Or(pipeline) => (Joint::Or, pipeline),
                };
                nodes.push((current, joint));
                current = self.pipeline(pipeline)?;
            }
            nodes.push((
                current,
                match separator {
                    ast::SeparatorOperator::Async => Joint::Beside,
                    ast::SeparatorOperator::Sequence => Joint::Then,
                },
            ));
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &ast::Pipeline) -> Result<Node, Unreadable> {
        let mut stages = pipeline.seq.iter().map(|command| self.command(command)).collect::<Result<Vec<_>, _>>()?;
        match stages.len() {
            1 => stages.pop().ok_or(Unreadable::Syntax),
            _ => Ok(Node::Pipeline(stages)),
        }
    }

    fn command(&mut self, command: &ast::Command) -> Result<Node, Unreadable> {
        match command {
            ast::Command::Simple(simple) => self.simple(simple),
            ast::Command::Compound(compound, redirects) => {
                let node = self.compound(compound)?;
                self.redirected(node, redirects.as_ref())
            }
            ast::Command::Function(function) => {
                let body = self.compound(&function.body.0)?;
                let body = self.redirected(body, function.body.1.as_ref())?;
                Ok(Node::Function { name: function.fname.value.clone(), body: Box::new(body) })
            }
            ast::Command::ExtendedTest(test, redirects) => {
                let mut words = Vec::new();
                let mut evaluates = false;
                self.test(&test.expr, &mut words, &mut evaluates)?;
                self.redirected(Node::Test { words, evaluates }, redirects.as_ref())
            }
        }
    }

    fn redirected(&mut self, node: Node, redirects: Option<&ast::RedirectList>) -> Result<Node, Unreadable> {
        let Some(list) = redirects else {
            return Ok(node);
        };
        let redirects = list.0.iter().map(|redirect| self.redirect(redirect)).collect::<Result<Vec<_>, _>>()?;
        Ok(Node::Redirected(Box::new(node), redirects))
    }

    fn compound(&mut self, compound: &ast::CompoundCommand) -> Result<Node, Unreadable> {
        Ok(match compound {
            ast::CompoundCommand::Arithmetic(arithmetic) => {
                // `( ( id ) )` comes out as arithmetic; only two adjacent parentheses are.
                if !self.begins_with(&arithmetic.loc, "((") {
                    return Err(Unreadable::Ambiguous);
                }
                Node::Arithmetic(self.expansions(&arithmetic.expr.value)?)
            }
            ast::CompoundCommand::ArithmeticForClause(clause) => {
                let mut parts = Vec::new();
                for part in [&clause.initializer, &clause.condition, &clause.updater].into_iter().flatten() {
                    parts.push(Node::Arithmetic(self.expansions(&part.value)?));
                }
                parts.push(self.list(&clause.body.list)?);
                Node::Loop(parts)
            }
            ast::CompoundCommand::BraceGroup(group) => self.list(&group.list)?,
            ast::CompoundCommand::Subshell(subshell) => Node::Subshell(Box::new(self.list(&subshell.list)?)),
            ast::CompoundCommand::ForClause(clause) => {
                let values = match &clause.values {
                    Some(values) => Some(self.words(values)?),
                    None => None,
                };
                Node::For { name: clause.variable_name.clone(), values, body: Box::new(self.list(&clause.body.list)?) }
            }
            ast::CompoundCommand::CaseClause(clause) => self.case(clause)?,
            ast::CompoundCommand::IfClause(clause) => {
                let mut parts = vec![self.list(&clause.condition)?, self.list(&clause.then)?];
                for part in clause.elses.iter().flatten() {
                    if let Some(condition) = &part.condition {
                        parts.push(self.list(condition)?);
                    }
                    parts.push(self.list(&part.body)?);
                }
                Node::Branches(parts)
            }
            ast::CompoundCommand::WhileClause(clause) | ast::CompoundCommand::UntilClause(clause) => {
                Node::Loop(vec![self.list(&clause.0)?, self.list(&clause.1.list)?])
            }
            ast::CompoundCommand::Coprocess(coprocess) => {
                let body = self.command(&coprocess.body)?;
                Node::List(vec![(body, Joint::Beside)])
            }
        })
    }

    fn begins_with(&self, location: &SourceSpan, prefix: &str) -> bool {
        self.text.chars().skip(location.start.index).zip(prefix.chars()).filter(|(a, b)| a == b).count() == prefix.len()
    }

    fn case(&mut self, clause: &ast::CaseClauseCommand) -> Result<Node, Unreadable> {
        let mut parts = vec![Node::Words(vec![self.word(&clause.value.value)?])];
        for case in &clause.cases {
            parts.push(Node::Words(self.words(&case.patterns)?));
            if let Some(body) = &case.cmd {
                parts.push(self.list(body)?);
            }
        }
        Ok(Node::Branches(parts))
    }

    fn test(
        &mut self,
        test: &ast::ExtendedTestExpr,
        words: &mut Vec<Word>,
        evaluates: &mut bool,
    ) -> Result<(), Unreadable> {
        use ast::{BinaryPredicate as Binary, UnaryPredicate as Unary};
        match test {
            ast::ExtendedTestExpr::And(left, right) | ast::ExtendedTestExpr::Or(left, right) => {
                self.test(left, words, evaluates)?;
                self.test(right, words, evaluates)?;
            }
            ast::ExtendedTestExpr::Not(inner) | ast::ExtendedTestExpr::Parenthesized(inner) => {
                self.test(inner, words, evaluates)?
            }
            ast::ExtendedTestExpr::UnaryTest(predicate, word) => {
                *evaluates |=
                    matches!(predicate, Unary::ShellVariableIsSetAndAssigned | Unary::ShellVariableIsSetAndNameRef);
                words.push(self.word(&word.value)?);
            }
            ast::ExtendedTestExpr::BinaryTest(predicate, left, right) => {
                *evaluates |= matches!(
                    predicate,
                    Binary::ArithmeticEqualTo
                        | Binary::ArithmeticNotEqualTo
                        | Binary::ArithmeticLessThan
                        | Binary::ArithmeticLessThanOrEqualTo
                        | Binary::ArithmeticGreaterThan
                        | Binary::ArithmeticGreaterThanOrEqualTo
                );
                words.push(self.word(&left.value)?);
                // A regular expression has brackets that are no quotes' business.
                words.push(self.word(&right.value)?);
            }
        }
        Ok(())
    }

    fn simple(&mut self, command: &ast::SimpleCommand) -> Result<Node, Unreadable> {
        let mut simple = Simple::default();
        for item in command.prefix.iter().flat_map(|prefix| &prefix.0) {
            self.item(item, &mut simple, true)?;
        }
        if let Some(name) = &command.word_or_name {
            simple.words.push(self.word(&name.value)?);
        }
        for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            self.item(item, &mut simple, false)?;
        }
        Ok(Node::Simple(simple))
    }

    fn item(
        &mut self,
        item: &ast::CommandPrefixOrSuffixItem,
        simple: &mut Simple,
        prefix: bool,
    ) -> Result<(), Unreadable> {
        match item {
            ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => simple.redirects.push(self.redirect(redirect)?),
            ast::CommandPrefixOrSuffixItem::Word(word) => simple.words.push(self.word(&word.value)?),
            ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) if prefix || is_compound(assignment) => {
                let assignment = self.assignment(assignment)?;
                // `declare -a x=(…)`: the word stays an argument, its values are read as an assignment's.
                if !prefix {
                    let name = word.value.split('=').next().unwrap_or_default();
                    simple.words.push(Word::literal(name));
                }
                simple.assignments.push(assignment);
            }
            ast::CommandPrefixOrSuffixItem::AssignmentWord(_, word) => simple.words.push(self.word(&word.value)?),
            ast::CommandPrefixOrSuffixItem::ProcessSubstitution(_, body) => {
                self.process_substitutions += 1;
                simple.words.push(Word::unknown());
                let list = self.list(&body.list)?;
                simple.process_substitutions.push(Node::Subshell(Box::new(list)));
            }
        }
        Ok(())
    }

    fn assignment(&mut self, assignment: &ast::Assignment) -> Result<Assignment, Unreadable> {
        let (name, subscript) = match &assignment.name {
            ast::AssignmentName::VariableName(name) => (name.clone(), None),
            ast::AssignmentName::ArrayElementName(name, subscript) => (name.clone(), Some(self.expansions(subscript)?)),
        };
        let (values, compound) = match &assignment.value {
            ast::AssignmentValue::Scalar(word) => (vec![self.word(&word.value)?], assignment.append),
            ast::AssignmentValue::Array(elements) => {
                let mut values = Vec::new();
                for (key, value) in elements {
                    if let Some(key) = key {
                        values.push(self.word(&key.value)?);
                    }
                    values.push(self.word(&value.value)?);
                }
                (values, true)
            }
        };
        Ok(Assignment { name, subscript, values, compound })
    }

    fn redirect(&mut self, redirect: &ast::IoRedirect) -> Result<Redirect, Unreadable> {
        use ast::{IoFileRedirectKind as Kind, IoFileRedirectTarget as Target};
        Ok(match redirect {
            ast::IoRedirect::File(_, _, Target::Fd(_)) => Redirect::Descriptor,
            ast::IoRedirect::File(_, _, Target::ProcessSubstitution(kind, body)) => {
                self.process_substitutions += 1;
                let list = self.list(&body.list)?;
                Redirect::Process {
                    body: Box::new(Node::Subshell(Box::new(list))),
                    reads: matches!(kind, ast::ProcessSubstitutionKind::Read),
                }
            }
            ast::IoRedirect::File(_, kind, Target::Filename(word) | Target::Duplicate(word)) => {
                let digits =
                    |raw: &str| raw == "-" || raw.trim_end_matches('-').bytes().all(|byte| byte.is_ascii_digit());
                match kind {
                    Kind::DuplicateInput | Kind::DuplicateOutput if digits(&word.value) => Redirect::Descriptor,
                    Kind::Read | Kind::DuplicateInput => Redirect::Read(self.word(&word.value)?),
                    _ => Redirect::Write(self.word(&word.value)?),
                }
            }
            ast::IoRedirect::HereDocument(_, document) => {
                let text = if document.requires_expansion {
                    // Checked apart: the scan does not know where this document's body began.
                    let word = self.expansions(&document.doc.value)?;
                    let seen = scan::scan_expansions(&document.doc.value)?.substitutions.len();
                    let mut found = 0;
                    word.substitutions(&mut |_| found += 1);
                    if seen != found {
                        return Err(Unreadable::Hidden);
                    }
                    word
                } else {
                    Word::literal(&document.doc.value)
                };
                Redirect::Text { text, literal: !document.requires_expansion }
            }
            ast::IoRedirect::HereString(_, word) => Redirect::Text { text: self.word(&word.value)?, literal: false },
            ast::IoRedirect::OutputAndError(word, _) => Redirect::Write(self.word(&word.value)?),
        })
    }
}

fn is_compound(assignment: &ast::Assignment) -> bool {
    matches!(assignment.value, ast::AssignmentValue::Array(_))
}
