//! What a template holds, found by walking through it: what is not evaluated, what reads labels, which variables it uses.

use super::{Node, Operand, Pipeline};

/// Whether the output depends on labels.
pub(super) fn reads_labels(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match node {
        Node::Text(_) => false,
        Node::Action(pipeline) => pipeline_reads(pipeline),
        Node::If(branches, otherwise) => {
            branches.iter().any(|(pipeline, body)| pipeline_reads(pipeline) || reads_labels(body))
                || reads_labels(otherwise)
        }
        Node::With(pipeline, body, otherwise) | Node::Range(pipeline, body, otherwise) => {
            pipeline_reads(pipeline) || reads_labels(body) || reads_labels(otherwise)
        }
    })
}

fn pipeline_reads(pipeline: &Pipeline) -> bool {
    pipeline.commands.iter().flat_map(|call| &call.operands).any(|operand| match operand {
        Operand::Dot | Operand::Field(_) | Operand::Variable(..) => true,
        Operand::Group(inner, _) => pipeline_reads(inner),
        _ => false,
    })
}

/// The variables that are declared, and those that are used.
pub(super) fn variables<'a>(nodes: &'a [Node], declared: &mut Vec<&'a str>, used: &mut Vec<&'a str>) {
    for node in nodes {
        match node {
            Node::Text(_) => {}
            Node::Action(pipeline) => pipeline_variables(pipeline, declared, used),
            Node::If(branches, otherwise) => {
                for (pipeline, body) in branches {
                    pipeline_variables(pipeline, declared, used);
                    variables(body, declared, used);
                }
                variables(otherwise, declared, used);
            }
            Node::With(pipeline, body, otherwise) | Node::Range(pipeline, body, otherwise) => {
                pipeline_variables(pipeline, declared, used);
                variables(body, declared, used);
                variables(otherwise, declared, used);
            }
        }
    }
}

fn pipeline_variables<'a>(pipeline: &'a Pipeline, declared: &mut Vec<&'a str>, used: &mut Vec<&'a str>) {
    declared.extend(pipeline.variables.iter().map(String::as_str));
    for operand in pipeline.commands.iter().flat_map(|call| &call.operands) {
        match operand {
            Operand::Variable(name, _) => used.push(name),
            Operand::Group(inner, _) => pipeline_variables(inner, declared, used),
            _ => {}
        }
    }
}

/// The first thing that is not evaluated, `names` among it.
pub(super) fn unsupported(nodes: &[Node], names: &[&str]) -> Option<String> {
    nodes.iter().find_map(|node| match node {
        Node::Text(_) => None,
        Node::Action(pipeline) => pipeline_unsupported(pipeline, names),
        Node::If(branches, otherwise) => branches
            .iter()
            .find_map(|(pipeline, body)| pipeline_unsupported(pipeline, names).or_else(|| unsupported(body, names)))
            .or_else(|| unsupported(otherwise, names)),
        Node::With(pipeline, body, otherwise) => pipeline_unsupported(pipeline, names)
            .or_else(|| unsupported(body, names))
            .or_else(|| unsupported(otherwise, names)),
        Node::Range(..) => Some("{{range}} in templates".to_owned()),
    })
}

fn pipeline_unsupported(pipeline: &Pipeline, names: &[&str]) -> Option<String> {
    let operands = pipeline.commands.iter().flat_map(|call| &call.operands);
    operands.into_iter().find_map(|operand| match operand {
        Operand::Function(name) if names.contains(&name.as_str()) => Some(format!("template function {name}")),
        Operand::Group(inner, _) => pipeline_unsupported(inner, names),
        _ => None,
    })
}
