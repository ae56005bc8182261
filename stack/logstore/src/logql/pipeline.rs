//! The grammar of a pipeline's stages.

use std::net::IpAddr;

use super::grammar::{Parsed, Parser, StageLimit};
use super::path::PathStep;
use super::token::Kind;
use super::{
    Extraction, IpRange, LabelFormat, LabelFormatSource, LineFilter, LineMatch, LineNeedle, MatcherOperator,
    NamedMatcher, ParserFlags, Stage, StageKind, Unwrap, UnwrapConversion,
};
use super::{ParseError, Template, path, pattern, re2};

impl Parser<'_> {
    /// All stages that follow, and the `unwrap` that ends them where one is allowed.
    pub(super) fn stages(&mut self, limit: StageLimit) -> Parsed<(Vec<Stage>, Option<Unwrap>)> {
        let mut stages = Vec::new();
        loop {
            let at = self.offset();
            if let Some(kind) = self.line_match() {
                let filter = self.line_filter(kind)?;
                stages.push(Stage { at, kind: StageKind::LineFilter(filter) });
            } else if self.is("|") {
                if matches!(self.peek_second(), Kind::Symbol("unwrap")) && limit == StageLimit::Unwrap {
                    self.advance();
                    let unwrap = self.unwrap()?;
                    return Ok((stages, Some(unwrap)));
                }
                self.advance();
                let at = self.offset();
                stages.push(Stage { at, kind: self.stage()? });
            } else {
                return Ok((stages, None));
            }
        }
    }

    fn line_match(&self) -> Option<LineMatch> {
        let Kind::Symbol(symbol) = self.peek() else { return None };
        Some(match *symbol {
            "|=" => LineMatch::Contains,
            "!=" => LineMatch::NotContains,
            "|~" => LineMatch::Regex,
            "!~" => LineMatch::NotRegex,
            "|>" => LineMatch::Pattern,
            "!>" => LineMatch::NotPattern,
            _ => return None,
        })
    }

    fn line_filter(&mut self, kind: LineMatch) -> Parsed<LineFilter> {
        self.advance();
        let mut needles = vec![self.needle(kind)?];
        while self.take("or") {
            needles.push(self.needle(kind)?);
        }
        Ok(LineFilter { kind, needles })
    }

    fn needle(&mut self, kind: LineMatch) -> Parsed<LineNeedle> {
        let at = self.offset();
        let semantic = |message: String| ParseError::semantic(at, message);
        if matches!(self.peek(), Kind::Function("ip")) {
            if !matches!(kind, LineMatch::Contains | LineMatch::NotContains) {
                return Err(semantic("ip: invalid operation".to_owned()));
            }
            return self.ip().map(LineNeedle::Ip);
        }
        let text = self.string("STRING or ip")?;
        Ok(match kind {
            LineMatch::Contains | LineMatch::NotContains => LineNeedle::Text(text),
            LineMatch::Regex | LineMatch::NotRegex => LineNeedle::Regex(re2::compile(&text).map_err(semantic)?, text),
            LineMatch::Pattern | LineMatch::NotPattern => {
                LineNeedle::Pattern(pattern::parse_filter(&text).map_err(semantic)?, text)
            }
        })
    }

    /// `ip("10.0.0.0/8")`
    pub(super) fn ip(&mut self) -> Parsed<IpRange> {
        let at = self.offset();
        self.advance();
        self.expect("(", "(")?;
        let text = self.string("STRING")?;
        self.expect(")", ")")?;
        ip_range(&text).ok_or_else(|| ParseError::semantic(at, format!("ip: invalid pattern: {text:?}")))
    }

    fn stage(&mut self) -> Parsed<StageKind> {
        let at = self.offset();
        let word = match self.peek() {
            Kind::Symbol(word) => *word,
            Kind::Identifier(_) => "(",
            _ => return Err(self.unexpected("")),
        };
        if word == "(" {
            return self.label_filter().map(StageKind::LabelFilter);
        }
        match word {
            "json" => {
                self.advance();
                self.json().map(StageKind::Json)
            }
            "logfmt" => {
                self.advance();
                self.logfmt()
            }
            "regexp" => {
                self.advance();
                self.regexp(at)
            }
            "pattern" => {
                self.advance();
                let text = self.string("STRING")?;
                let pattern = pattern::parse_extraction(&text);
                let invalid = |e| ParseError::semantic(at, format!("invalid pattern parser: {e}"));
                pattern.map(StageKind::Pattern).map_err(invalid)
            }
            "unpack" => {
                self.advance();
                Ok(StageKind::Unpack)
            }
            "decolorize" => {
                self.advance();
                Ok(StageKind::Decolorize)
            }
            "line_format" => {
                self.advance();
                let text = self.string("STRING")?;
                let invalid = |e| ParseError::semantic(at, format!("invalid line template: {e}"));
                Template::parse("line", &text).map(StageKind::LineFormat).map_err(invalid)
            }
            "label_format" => {
                self.advance();
                self.label_format(at)
            }
            "drop" => {
                self.advance();
                self.named_matchers().map(StageKind::Drop)
            }
            "keep" => {
                self.advance();
                self.named_matchers().map(StageKind::Keep)
            }
            _ => Err(self.unexpected("")),
        }
    }

    // ---- parsers ----

    fn json(&mut self) -> Parsed<Vec<Extraction<Vec<PathStep>>>> {
        self.extractions(|text| path::parse(text).map_err(|e| format!("cannot parse expression [{text}]: {e}")))
    }

    fn logfmt(&mut self) -> Parsed<StageKind> {
        let mut flags = ParserFlags::default();
        while let Kind::Flag(flag) = *self.peek() {
            self.advance();
            match flag {
                "--strict" => flags.strict = true,
                _ => flags.keep_empty = true,
            }
        }
        let extractions = self.extractions(|text| {
            let valid = path::parse(text).is_ok_and(|steps| matches!(&steps[..], [PathStep::Key(_)]));
            if valid { Ok(text.to_owned()) } else { Err(format!("cannot parse expression [{text}]: syntax error")) }
        })?;
        Ok(StageKind::Logfmt(flags, extractions))
    }

    /// `a="expression", b`
    fn extractions<T>(&mut self, read: impl Fn(&str) -> Result<T, String>) -> Parsed<Vec<Extraction<T>>> {
        let mut extractions = Vec::new();
        if !matches!(self.peek(), Kind::Identifier(_)) {
            return Ok(extractions);
        }
        loop {
            let at = self.offset();
            let label = self.identifier("IDENTIFIER")?;
            let text = if self.take("=") { self.string("STRING")? } else { label.clone() };
            let from = read(&text).map_err(|e| ParseError::semantic(at, e))?;
            extractions.push(Extraction { label, text, from });
            if !self.take(",") {
                return Ok(extractions);
            }
        }
    }

    fn regexp(&mut self, at: usize) -> Parsed<StageKind> {
        let text = self.string("STRING")?;
        let invalid = |e: String| ParseError::semantic(at, format!("invalid regexp parser: {e}"));
        if let Some(name) = duplicate_capture(&text) {
            return Err(invalid(format!("duplicate extracted label name '{name}'")));
        }
        let regex = re2::compile(&text).map_err(invalid)?;
        if regex.capture_names().flatten().next().is_none() {
            return Err(invalid("at least one named capture must be supplied".to_owned()));
        }
        Ok(StageKind::Regexp(regex, text))
    }

    // ---- label stages ----

    fn label_format(&mut self, at: usize) -> Parsed<StageKind> {
        let mut formats: Vec<LabelFormat> = Vec::new();
        loop {
            let name = self.identifier("IDENTIFIER")?;
            self.expect("=", "=")?;
            let source = match self.peek() {
                Kind::Identifier(_) => LabelFormatSource::Rename(self.identifier("IDENTIFIER or STRING")?),
                _ => {
                    let text = self.string("IDENTIFIER or STRING")?;
                    let invalid = |e| ParseError::semantic(at, format!("invalid template for label '{name}': {e}"));
                    LabelFormatSource::Template(Template::parse("label", &text).map_err(invalid)?)
                }
            };
            if name == "__error__" {
                return Err(ParseError::semantic(at, format!("{name} cannot be formatted")));
            }
            if formats.iter().any(|format| format.name == name) {
                let message = format!("multiple label name '{name}' not allowed in a single format operation");
                return Err(ParseError::semantic(at, message));
            }
            formats.push(LabelFormat { name, source });
            if !self.take(",") {
                return Ok(StageKind::LabelFormat(formats));
            }
        }
    }

    fn named_matchers(&mut self) -> Parsed<Vec<NamedMatcher>> {
        let mut matchers = Vec::new();
        loop {
            let name = self.identifier("IDENTIFIER")?;
            let operator = match self.peek() {
                Kind::Symbol("=") => Some(MatcherOperator::Equal),
                Kind::Symbol("=~") => Some(MatcherOperator::Regex),
                Kind::Symbol("!=") if matches!(self.peek_second(), Kind::String(_)) => Some(MatcherOperator::NotEqual),
                Kind::Symbol("!~") if matches!(self.peek_second(), Kind::String(_)) => Some(MatcherOperator::NotRegex),
                _ => None,
            };
            matchers.push(match operator {
                Some(operator) => {
                    self.advance();
                    NamedMatcher::Matcher(self.matcher_value(name, operator)?)
                }
                None => NamedMatcher::Name(name),
            });
            if !self.take(",") {
                return Ok(matchers);
            }
        }
    }

    // ---- unwrap ----

    fn unwrap(&mut self) -> Parsed<Unwrap> {
        let at = self.offset();
        self.expect("unwrap", "unwrap")?;
        let conversion = match self.peek() {
            Kind::Function("bytes") => Some(UnwrapConversion::Bytes),
            Kind::Function("duration") => Some(UnwrapConversion::Duration),
            Kind::Function("duration_seconds") => Some(UnwrapConversion::DurationSeconds),
            _ => None,
        };
        let label = if conversion.is_some() {
            self.advance();
            self.expect("(", "(")?;
            let label = self.identifier("IDENTIFIER")?;
            self.expect(")", ")")?;
            label
        } else {
            self.identifier("")?
        };
        let mut filters = Vec::new();
        while self.is("|") {
            self.advance();
            filters.push(self.label_filter()?);
        }
        Ok(Unwrap { at, label, conversion, filters })
    }
}

/// The name that two captures of a regex have.
fn duplicate_capture(regex: &str) -> Option<&str> {
    let mut seen = Vec::new();
    for (at, _) in regex.match_indices("(?") {
        let rest = &regex[at + 2..];
        let inside = rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<'));
        let Some((name, _)) = inside.and_then(|inside| inside.split_once('>')) else { continue };
        if seen.contains(&name) {
            return Some(name);
        }
        seen.push(name);
    }
    None
}

/// `10.0.0.1`, `10.0.0.0/8` or `10.0.0.1-10.0.0.9`, IPv4 or IPv6.
fn ip_range(text: &str) -> Option<IpRange> {
    let range = |first, last| Some(IpRange { text: text.to_owned(), first, last });
    if let Ok(address) = text.parse::<IpAddr>() {
        return range(address, address);
    }
    if let Some((address, bits)) = text.split_once('/') {
        let bits: u32 = bits.parse().ok()?;
        return match address.parse().ok()? {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(bits).filter(|_| bits <= 32).or((bits == 32).then_some(0))?;
                let base = u32::from(v4) & !host;
                range(IpAddr::V4(base.into()), IpAddr::V4((base | host).into()))
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(bits).filter(|_| bits <= 128).or((bits == 128).then_some(0))?;
                let base = u128::from(v6) & !host;
                range(IpAddr::V6(base.into()), IpAddr::V6((base | host).into()))
            }
        };
    }
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse::<IpAddr>().ok()?, last.trim().parse::<IpAddr>().ok()?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then(|| range(first, last))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ip_patterns_are_addresses_networks_or_ranges() {
        let range = ip_range("10.1.2.3/8").unwrap();
        assert_eq!((range.first.to_string(), range.last.to_string()), ("10.0.0.0".into(), "10.255.255.255".into()));
        assert_eq!(ip_range("1.2.3.4/32").unwrap().first, ip_range("1.2.3.4/32").unwrap().last);
        assert!(ip_range("0.0.0.0/0").is_some() && ip_range("::/0").is_some());
        assert!(ip_range("10.0.0.1-10.0.0.9").is_some());
        for bad in ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.9-10.0.0.1", "1.2.3.4-::1", "x"] {
            assert!(ip_range(bad).is_none(), "{bad}");
        }
    }
}
