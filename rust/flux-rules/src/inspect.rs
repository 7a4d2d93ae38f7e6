//! Reading a compiled script: what it uses of the message, which functions it calls, what it keeps.
//!
//! The one module that knows the language's syntax tree, whose shape is not promised between minor
//! versions. Must never decide anything that a script's meaning depends on: facts choose cheaper
//! ways to the same result, refuse what is bound to fail, and feed hints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rhai::{AST, ASTFlags, ASTNode, Expr, FnCallExpr, Position, Stmt};

use crate::RuleError;
use crate::error::Place;
use crate::signatures::Signatures;

/// What a script uses and does, found without running it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScriptFacts {
    /// Names of values it reads, bare or as `msg.values.name`, in order of the alphabet. A name
    /// computed while running is not among them.
    pub reads: BTreeSet<Box<str>>,
    /// Where each of [`Self::reads`] stands first.
    pub places: BTreeMap<Box<str>, Place>,
    /// It looks at `msg.payload`, or at `msg` as a whole.
    pub reads_payload: bool,
    /// It may change `msg` or `env`, and so needs copies of its own.
    pub edits: bool,
    /// It calls functions or loops, so that its time is worth measuring.
    pub timed: bool,
    /// A closure of it captures variables.
    pub captures: bool,
    /// A closure of it captures `msg` or `env`.
    pub captures_given: bool,
    /// It keeps a closure with captured variables.
    pub keeps_closures: bool,
    /// Functions it defines (closures not counted).
    pub functions: Option<Arc<[Box<str>]>>,
    /// It has functions or closures, in which the scope is out of sight.
    pub has_bodies: bool,
    /// Calls of methods that no type has, with a hint. A map may hold a function under such a
    /// name, so they are warnings.
    pub doubtful_calls: Vec<(String, Place)>,
}

/// One step of a chain such as `.values`, `["t"]` or `.len()`.
enum Link<'e> {
    Name(&'e str),
    Method(&'e FnCallExpr),
    Computed,
}

/// The steps after the root of `root.a["b"].c()`.
fn links(chain: &Expr) -> Vec<Link<'_>> {
    let mut found = Vec::new();
    let mut next = Some(chain);
    while let Some(node) = next.take() {
        let (dot, pair, flags) = match node {
            Expr::Dot(pair, flags, _) => (true, pair, flags),
            Expr::Index(pair, flags, _) => (false, pair, flags),
            _ => break,
        };
        let ends = flags.contains(ASTFlags::BREAK);
        let step = match &pair.rhs {
            Expr::Dot(below, ..) | Expr::Index(below, ..) if !ends => {
                next = Some(&pair.rhs);
                &below.lhs
            }
            last => last,
        };
        found.push(match (dot, step) {
            (true, Expr::Property(property, _)) => Link::Name(property.2.as_str()),
            (true, Expr::MethodCall(call, _)) => Link::Method(call),
            (false, Expr::StringConstant(name, _)) => Link::Name(name.as_str()),
            _ => Link::Computed,
        });
    }
    found
}

/// The variable a chain, or a bare variable, begins with.
fn root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Variable(variable, ..) if variable.2.is_empty() => Some(variable.1.as_str()),
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => root(&pair.lhs),
        _ => None,
    }
}

/// Functions that leave the map, array or string they are called on as it is.
#[rustfmt::skip]
const READING: [&str; 42] = [
    "contains", "len", "keys", "values", "is_empty", "get", "to_json", "to_string", "to_debug",
    "type_of", "is_shared", "filter", "map", "some", "all", "find", "find_map", "index_of",
    "starts_with", "ends_with", "to_upper", "to_lower", "sub_string", "to_int", "to_float", "abs",
    "round", "reduce", "print", "debug", "exit", "log_trace", "log_debug", "log_info", "log_warn",
    "log_error", "send_command", "publish", "raise_alarm", "clear_alarm", "webhook", "call",
];

/// Functions that use a closure and forget it before they return.
const FORGETTING: [&str; 20] = [
    "filter",
    "map",
    "some",
    "all",
    "find",
    "find_map",
    "for_each",
    "index_of",
    "reduce",
    "reduce_rev",
    "sort",
    "sort_by",
    "order",
    "order_by",
    "dedup",
    "drain",
    "retain",
    "zip",
    "contains",
    "call",
];

#[derive(Default)]
struct Reader {
    facts: ScriptFacts,
    own: BTreeMap<Box<str>, BTreeSet<usize>>,
    /// Names the script gives to variables and parameters of its own.
    defined: BTreeSet<Box<str>>,
    /// Parameters of closures; captured names are among them.
    closure_params: BTreeSet<Box<str>>,
    /// Names closures capture, and whether they are variables of the script there.
    captures: BTreeMap<Box<str>, bool>,
    bare: BTreeMap<Box<str>, Position>,
    calls: Vec<(Box<str>, usize, bool, Position)>,
    /// Variables captured by closures that are kept.
    captured: BTreeMap<Box<str>, Position>,
    /// Variables captured by a closure that is handed to a method of theirs.
    at_odds: BTreeMap<Box<str>, Position>,
    /// Variables that may come to hold something else later.
    changed: BTreeSet<Box<str>>,
}

/// Reads a script; refuses what is bound to fail or could grow without bound.
pub(crate) fn read(ast: &AST, signatures: &Signatures) -> Result<ScriptFacts, RuleError> {
    let mut reader = Reader::default();
    let mut named: Vec<Box<str>> = Vec::new();
    for function in ast.iter_functions() {
        reader.facts.has_bodies = true;
        let closure = function.name.starts_with("anon$");
        let params = if closure { &mut reader.closure_params } else { &mut reader.defined };
        params.extend(function.params.iter().map(|param| (*param).into()));
        if !closure {
            named.push(function.name.into());
            reader.own.entry(function.name.into()).or_default().insert(function.params.len());
        }
    }
    if !named.is_empty() {
        reader.facts.functions = Some(named.into());
    }
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        reader.visit(path);
        true
    });
    reader.finish(signatures)
}

impl Reader {
    fn visit(&mut self, path: &[ASTNode<'_>]) {
        let Some((node, above)) = path.split_last() else { return };
        match node {
            ASTNode::Stmt(stmt) => self.visit_stmt(stmt, above),
            ASTNode::Expr(expr) => self.visit_expr(expr, above),
            #[allow(unreachable_patterns)] // the enum may grow
            _ => {}
        }
    }

    fn visit_stmt(&mut self, stmt: &Stmt, above: &[ASTNode<'_>]) {
        match stmt {
            Stmt::Var(var, ..) => {
                self.defined.insert(var.0.name.as_str().into());
            }
            Stmt::For(each, _) => {
                self.facts.timed = true;
                self.defined.insert(each.0.name.as_str().into());
                if let Some(counter) = &each.1 {
                    self.defined.insert(counter.name.as_str().into());
                }
            }
            Stmt::While(..) | Stmt::Do(..) => self.facts.timed = true,
            Stmt::TryCatch(parts, _) => {
                if let Some(name) = root(&parts.expr) {
                    self.defined.insert(name.into());
                }
            }
            Stmt::FnCall(call, position) => self.visit_call(call, false, *position, above),
            Stmt::Assignment(parts) => {
                let pair = &parts.1;
                if let Some(name) = root(&pair.lhs) {
                    self.facts.edits |= is_given(name);
                    if !(pair.rhs.is_constant() && matches!(pair.lhs, Expr::Variable(..))) {
                        self.changed.insert(name.into());
                    }
                }
            }
            Stmt::Share(names) => {
                self.facts.captures = true;
                self.facts.captures_given |= names.iter().any(|(name, _)| is_given(&name.name));
            }
            // The language's own walk leaves the value of a `break` out.
            Stmt::BreakLoop(Some(value), ..) => {
                value.walk(&mut Vec::new(), &mut |path: &[ASTNode<'_>]| {
                    self.visit(path);
                    true
                });
            }
            _ => {}
        }
    }

    fn visit_expr(&mut self, expr: &Expr, above: &[ASTNode<'_>]) {
        match expr {
            Expr::Variable(variable, _, position) if variable.2.is_empty() => {
                self.visit_variable(expr, variable.1.as_str(), *position, above);
            }
            Expr::FnCall(call, position) => self.visit_call(call, false, *position, above),
            Expr::MethodCall(call, position) => self.visit_call(call, true, *position, above),
            Expr::Dot(..) | Expr::Index(..) => {
                let writes = |link: &Link<'_>| match link {
                    Link::Method(call) => !READING.contains(&call.name.as_str()),
                    _ => false,
                };
                if let (Some(name), true) = (root(expr), links(expr).iter().any(writes)) {
                    self.changed.insert(name.into());
                }
            }
            _ => {}
        }
    }

    fn visit_variable(
        &mut self,
        expr: &Expr,
        name: &str,
        position: Position,
        above: &[ASTNode<'_>],
    ) {
        let parent = match above.last() {
            Some(ASTNode::Expr(parent)) => Some(*parent),
            _ => None,
        };
        if !is_given(name) {
            self.bare.entry(name.into()).or_insert(position);
            return;
        }
        let chain = match parent {
            Some(Expr::Dot(pair, ..) | Expr::Index(pair, ..))
                if std::ptr::eq(&raw const pair.lhs, expr) =>
            {
                parent.map(links).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        self.facts.edits |= chain.iter().any(|link| match link {
            Link::Method(call) => !READING.contains(&call.name.as_str()),
            _ => false,
        });
        if name == "msg" {
            self.visit_message_chain(&chain, position);
        }
    }

    fn visit_message_chain(&mut self, chain: &[Link<'_>], position: Position) {
        match chain {
            [Link::Name("values"), Link::Name(value), ..] => self.reads(value, position),
            [Link::Name("values"), Link::Method(call), ..] => {
                if let (true, Some(Expr::StringConstant(value, _))) =
                    (call.name == "get", call.args.first())
                {
                    self.reads(value, position);
                }
            }
            [Link::Name("payload"), ..] | [] | [Link::Computed | Link::Method(_), ..] => {
                self.facts.reads_payload = true;
            }
            _ => {}
        }
    }

    fn reads(&mut self, value: &str, position: Position) {
        self.facts.reads.insert(value.into());
        self.facts.places.entry(value.into()).or_insert_with(|| position.into());
    }

    fn visit_call(
        &mut self,
        call: &FnCallExpr,
        method: bool,
        position: Position,
        above: &[ASTNode<'_>],
    ) {
        if call.op_token.is_some() {
            return;
        }
        let name = call.name.as_str();
        if name == "curry" {
            return self.visit_capture(call, position, above);
        }
        self.facts.timed = true;
        if call.is_qualified() {
            return;
        }
        if let (false, Some(first)) = (method, call.args.first().and_then(root))
            && !READING.contains(&name)
        {
            self.changed.insert(first.into());
        }
        let arguments = call.args.len() + usize::from(method);
        self.calls.push((name.into(), arguments, method, position));
    }

    /// A closure that captures: the block `{ share x; curry(fn, x) }` within what takes it.
    fn visit_capture(&mut self, call: &FnCallExpr, position: Position, above: &[ASTNode<'_>]) {
        for captured in call.args.iter().skip(1) {
            if let Expr::Variable(variable, short, _) = captured {
                let own = short.is_some() || variable.0.is_some();
                *self.captures.entry(variable.1.as_str().into()).or_default() |= own;
            }
        }
        // Between the closure and what takes it stands only its own block.
        let taker = above.iter().rev().find(|node| !matches!(node, ASTNode::Expr(Expr::Stmt(_))));
        let forgets = |call: &FnCallExpr| {
            FORGETTING.contains(&call.name.as_str()) && !self.own.contains_key(call.name.as_str())
        };
        let forgotten = match taker {
            Some(ASTNode::Expr(Expr::MethodCall(taker, _) | Expr::FnCall(taker, _))) => {
                forgets(taker)
            }
            _ => false,
        };
        for captured in call.args.iter().skip(1).filter_map(root) {
            if receiver(above) == Some(captured) {
                self.at_odds.entry(captured.into()).or_insert(position);
            }
        }
        if forgotten {
            return;
        }
        self.facts.keeps_closures = true;
        for captured in call.args.iter().skip(1).filter_map(root) {
            self.captured.entry(captured.into()).or_insert(position);
        }
    }

    fn finish(mut self, signatures: &Signatures) -> Result<ScriptFacts, RuleError> {
        for (name, arguments, method, position) in &self.calls {
            if let Some(reason) = signatures.refused.get(&**name) {
                return Err(refused(format!("`{name}` {reason}"), *position, None));
            }
            self.check_call(signatures, name, *arguments, *method, *position).or_else(|doubt| {
                match doubt {
                    Doubt::Certain(error) => Err(error),
                    Doubt::Possible(warning) => {
                        self.facts.doubtful_calls.push((warning, (*position).into()));
                        Ok(())
                    }
                }
            })?;
        }
        // `msg` and `env` are handed to closures by value, unless the script changes them.
        let at_odds = |name: &str| !is_given(name) || self.facts.edits;
        if let Some((name, position)) = self.at_odds.iter().find(|(name, _)| at_odds(name)) {
            return Err(refused(
                format!("a closure captures `{name}`, and a method of `{name}` calls it"),
                *position,
                Some(format!("let the closure use a copy, as in `let copy = {name};`")),
            ));
        }
        if let Some((name, position)) =
            self.captured.iter().find(|(name, _)| self.changed.contains(*name))
        {
            return Err(refused(
                format!(
                    "a closure that is kept captures `{name}`, which the script changes: the two \
                     could hold each other for ever"
                ),
                *position,
                Some(format!(
                    "write the closure where it is used, as in `list.filter(|x| x > {name})`, or \
                     hand `{name}` over as a parameter"
                )),
            ));
        }
        let of_message = |name: &str, reader: &Self| {
            let captured = reader.captures.get(name).is_some_and(|own| !own);
            !reader.own.contains_key(name)
                && !reader.defined.contains(name)
                && (captured || !reader.closure_params.contains(name))
        };
        for (name, position) in std::mem::take(&mut self.bare) {
            if of_message(&name, &self) {
                self.reads(&name, position);
            }
        }
        Ok(self.facts)
    }

    fn check_call(
        &self,
        signatures: &Signatures,
        name: &str,
        arguments: usize,
        method: bool,
        position: Position,
    ) -> Result<(), Doubt> {
        // `f.call(…)` takes what `f` takes; a variable may hold a function.
        let variable = self.defined.contains(name) || self.closure_params.contains(name);
        if name == "call" || variable {
            return Ok(());
        }
        let own = self.own.get(name);
        let takes = |count: usize| {
            own.is_some_and(|counts| counts.contains(&count))
                || signatures.arities.get(name).is_some_and(|counts| counts.contains(&count))
        };
        // a method may also be a function of the script that uses `this`
        if takes(arguments) || (method && takes(arguments - 1)) {
            return Ok(());
        }
        let known: BTreeSet<usize> = own
            .into_iter()
            .chain(signatures.arities.get(name))
            .flatten()
            .map(|count| count.saturating_sub(usize::from(method)))
            .collect();
        let given = arguments - usize::from(method);
        let (message, hint) = if known.is_empty() {
            let near = signatures.nearest(name, self.own.keys().map(|known| &**known));
            (
                format!("no function is called `{name}`"),
                near.map(|near| format!("did you mean `{near}`?")),
            )
        } else {
            let counts: Vec<String> = known.iter().map(ToString::to_string).collect();
            (
                format!("`{name}` does not take {given} arguments"),
                Some(format!("it takes {}", counts.join(" or "))),
            )
        };
        if method {
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            return Err(Doubt::Possible(format!("{message}{hint}")));
        }
        Err(Doubt::Certain(refused(message, position, hint)))
    }
}

enum Doubt {
    Certain(RuleError),
    Possible(String),
}

/// The variable whose method takes the closure at the end of a path.
fn receiver<'p>(above: &[ASTNode<'p>]) -> Option<&'p str> {
    let outside = above.iter().rev().skip_while(|node| !is_method_call(node)).skip(1);
    let chain =
        outside.take_while(|node| matches!(node, ASTNode::Expr(Expr::Dot(..) | Expr::Index(..))));
    match chain.last() {
        Some(ASTNode::Expr(chain)) => root(chain),
        _ => None,
    }
}

fn is_method_call(node: &ASTNode<'_>) -> bool {
    matches!(node, ASTNode::Expr(Expr::MethodCall(..)))
}

fn is_given(name: &str) -> bool {
    name == "msg" || name == "env"
}

fn refused(message: String, position: Position, hint: Option<String>) -> RuleError {
    RuleError::Compile { message, place: position.into(), hint }
}
