//! [`Workflow`]: the reusable workflow of GitHub Actions, its steps run here as a runner does it, with their
//! variables made from an event's payload.
//!
//! Of the expression language it knows what the workflow uses: paths, texts, `==`, `!=`, `!`, `&&`, `||`,
//! `startsWith` and `cancelled`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::{Output, Workbench};

/// A job of a workflow, on its way.
#[derive(Debug)]
pub struct Workflow {
    job: Value,
    /// `github`, `inputs`, `secrets`, `runner`, `steps`, `needs`.
    context: Value,
    /// What steps wrote to `GITHUB_ENV`, and what the runner has beside it.
    variables: BTreeMap<String, String>,
    /// What steps wrote to `GITHUB_STEP_SUMMARY`.
    pub summary: String,
    /// What the steps that ran said, by their names.
    pub ran: Vec<(String, Output)>,
}

impl Workflow {
    /// A job of the workflow file, with the defaults of its inputs, and these instead of some.
    pub fn new(bench: &Workbench, file: &Path, job: &str, github: &Value, inputs: &Value) -> Self {
        let workflow = Self::read(bench, file);
        let declared = &workflow["on"]["workflow_call"]["inputs"];
        Self::of(bench, &workflow["jobs"][job], declared, github, inputs)
    }

    /// The composite action of this file, likewise.
    pub fn action(bench: &Workbench, file: &Path, github: &Value, inputs: &Value) -> Self {
        let action = Self::read(bench, file);
        let mut made = Self::of(bench, &action["runs"], &action["inputs"], github, inputs);
        made.set("GITHUB_ACTION_PATH", file.parent().unwrap().to_str().unwrap());
        made
    }

    /// A YAML file as it stands: all scalars are texts, and the key `on` is no boolean, as it is to YAML 1.1.
    pub fn read(bench: &Workbench, file: &Path) -> Value {
        let read = "import json, sys, yaml; print(json.dumps(yaml.load(open(sys.argv[1]), yaml.BaseLoader)))";
        let text = bench.tool("key-services-python").args(["-c", read]).args([file]).succeed();
        serde_json::from_str(&text).unwrap()
    }

    fn of(
        bench: &Workbench,
        job: &Value,
        declared: &Value,
        github: &Value,
        inputs: &Value,
    ) -> Self {
        let mut values = serde_json::Map::new();
        for (name, input) in declared.as_object().unwrap() {
            let value = inputs.get(name).unwrap_or(&input["default"]);
            values.insert(name.clone(), value.clone());
        }
        let temp = bench.folder().join("runner");
        std::fs::create_dir_all(&temp).unwrap();
        let context =
            json!({ "github": github, "inputs": values, "runner": { "temp": temp }, "steps": {} });
        let job = job.clone();
        assert!(job.is_object(), "there is such a job");
        let variables = BTreeMap::new();
        Self { job, context, variables, summary: String::new(), ran: Vec::new() }
    }

    /// Sets a variable of all steps.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Sets what a path such as `secrets.source-password` is.
    pub fn know(&mut self, path: &str, value: Value) {
        let place = path.split('.').fold(&mut self.context, |place, name| &mut place[name]);
        *place = value;
    }

    /// What a step wrote to `GITHUB_OUTPUT`.
    pub fn output(&self, step: &str, name: &str) -> String {
        text(&self.context["steps"][step]["outputs"][name])
    }

    /// Whether the job is to run at all.
    pub fn is_wanted(&self) -> bool {
        let condition = self.job["if"].as_str().unwrap();
        is_true(&self.evaluate(condition.trim_start_matches("${{").trim_end_matches("}}")))
    }

    /// The variables of the step with this name, as the runner would set them.
    pub fn variables_of(&self, name: &str) -> BTreeMap<String, String> {
        let step = self.steps().into_iter().find(|step| step["name"] == name).unwrap();
        self.environment(&step)
    }

    /// Runs the steps in their order, as long as they end well; those with a condition go by it. True if
    /// all ended well.
    pub fn run(&mut self, bench: &Workbench) -> bool {
        let mut is_well = true;
        for (number, step) in self.steps().into_iter().enumerate() {
            let name = step["name"].as_str().unwrap().to_owned();
            let condition = step["if"]
                .as_str()
                .map(|text| text.trim_start_matches("${{").trim_end_matches("}}"));
            if !condition.map_or(is_well, |condition| is_true(&self.evaluate(condition))) {
                continue;
            }
            let file = |what: &str| {
                let file = bench.folder().join("runner").join(format!("{what}-{number}"));
                std::fs::write(&file, "").unwrap();
                file
            };
            let (script, outputs) = (file("script"), file("outputs"));
            let (variables, summary) = (file("variables"), file("summary"));
            std::fs::write(&script, step["run"].as_str().unwrap()).unwrap();
            let mut process = bench
                .tool("bash")
                .args(["--noprofile", "--norc", "-eo", "pipefail"])
                .args([&script])
                .env("GITHUB_OUTPUT", &outputs)
                .env("GITHUB_ENV", &variables)
                .env("GITHUB_STEP_SUMMARY", &summary)
                .env("GITHUB_ACTIONS", "true")
                .env("HOME", bench.folder());
            for (name, value) in self.variables.iter().chain(&self.environment(&step)) {
                process = process.env(name, value);
            }
            let output = process.run();
            is_well &= output.code == Some(0);
            if let Some(id) = step["id"].as_str() {
                let written = assignments(&std::fs::read_to_string(outputs).unwrap());
                self.context["steps"][id] = json!({ "outputs": written });
            }
            self.variables.extend(assignments(&std::fs::read_to_string(variables).unwrap()));
            self.summary.push_str(&std::fs::read_to_string(summary).unwrap());
            self.ran.push((name, output));
        }
        is_well
    }

    /// All that steps said.
    pub fn said(&self) -> String {
        self.ran.iter().map(|(name, output)| format!("{name}: {output:?}\n")).collect()
    }

    fn steps(&self) -> Vec<Value> {
        self.job["steps"].as_array().unwrap().clone()
    }

    fn environment(&self, step: &Value) -> BTreeMap<String, String> {
        let variables = step["env"].as_object().unwrap();
        variables
            .iter()
            .map(|(name, value)| (name.clone(), self.expand(value.as_str().unwrap())))
            .collect()
    }

    /// A text with its `${{ … }}` replaced.
    fn expand(&self, mut rest: &str) -> String {
        let mut made = String::new();
        while let Some((before, after)) = rest.split_once("${{") {
            let (expression, after) = after.split_once("}}").unwrap();
            made.push_str(before);
            made.push_str(&text(&self.evaluate(expression)));
            rest = after;
        }
        made + rest
    }

    fn evaluate(&self, expression: &str) -> Value {
        let mut parser = Parser { rest: expression.trim(), context: &self.context };
        let value = parser.or();
        assert!(parser.rest.is_empty(), "`{}` in `{expression}`", parser.rest);
        value
    }
}

/// `NAME=VALUE` and `NAME<<END` … `END`.
fn assignments(written: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut lines = written.lines();
    while let Some(line) = lines.next() {
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        if let Some(at) = heredoc.filter(|at| equals.is_none_or(|equals| *at < equals)) {
            let (name, end) = (&line[..at], &line[at + 2..]);
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
            found.insert(name.to_owned(), value.join("\n"));
        } else {
            let (name, value) = line.split_once('=').unwrap();
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    found
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != 0
}

/// What is left of an expression.
struct Parser<'a> {
    rest: &'a str,
    context: &'a Value,
}

impl Parser<'_> {
    fn takes(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest).trim_start();
        rest.is_some()
    }

    fn or(&mut self) -> Value {
        let mut value = self.and();
        while self.takes("||") {
            let other = self.and();
            value = if is_true(&value) { value } else { other };
        }
        value
    }

    fn and(&mut self) -> Value {
        let mut value = self.equal();
        while self.takes("&&") {
            let other = self.equal();
            value = if is_true(&value) { other } else { value };
        }
        value
    }

    fn equal(&mut self) -> Value {
        let value = self.term();
        if self.takes("==") {
            return json!(text(&value) == text(&self.term()));
        }
        if self.takes("!=") {
            return json!(text(&value) != text(&self.term()));
        }
        value
    }

    fn term(&mut self) -> Value {
        if self.takes("!") {
            return json!(!is_true(&self.term()));
        }
        if self.takes("(") {
            let value = self.or();
            assert!(self.takes(")"));
            return value;
        }
        if self.takes("cancelled()") {
            return json!(false);
        }
        if self.takes("startsWith(") {
            let whole = self.or();
            assert!(self.takes(","));
            let start = self.or();
            assert!(self.takes(")"));
            return json!(text(&whole).starts_with(&text(&start)));
        }
        if let Some(rest) = self.rest.strip_prefix('\'') {
            let (value, rest) = rest.split_once('\'').unwrap();
            self.rest = rest.trim_start();
            return json!(value);
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let end = self.rest.find(|letter| !is_name(letter)).unwrap_or(self.rest.len());
        let (path, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        assert!(!path.is_empty(), "nothing before `{rest}`");
        path.split('.').fold(self.context, |place, name| &place[name]).clone()
    }
}
