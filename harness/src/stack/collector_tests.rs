//! The collector against real files and the embedded log store.

use std::fs::OpenOptions;
use std::io::Write as _;

use super::*;
use crate::stack::testing::eventually;

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn everything(tail: &mut Tail) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let before = (tail.file.is_some(), tail.position);
        let read = tail.read().unwrap();
        if read.is_empty() && before == (tail.file.is_some(), tail.position) {
            return lines;
        }
        lines.extend(read);
    }
}

#[test]
fn a_line_is_read_once_and_only_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.log");
    let mut tail = Tail::new(path.clone());
    assert!(everything(&mut tail).is_empty(), "there is no file yet");
    append(&path, "one\ntw");
    assert_eq!(everything(&mut tail), ["one"]);
    append(&path, "o\r\n\nthree\n");
    assert_eq!(everything(&mut tail), ["two", "three"]);
    assert_eq!((everything(&mut tail).len(), tail.lost), (0, 0));
}

#[test]
fn a_rotated_file_is_read_to_its_end_and_its_successor_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.log");
    let mut tail = Tail::new(path.clone());
    append(&path, "one\n");
    assert_eq!(everything(&mut tail), ["one"]);
    append(&path, "two\nthe last word");
    std::fs::rename(&path, folder.path().join("out.log.1")).unwrap();
    append(&path, "three\n");
    assert_eq!(everything(&mut tail), ["two", "the last word", "three"]);
    assert_eq!(tail.lost, 0);
}

#[test]
fn a_file_truncated_in_place_begins_anew_and_the_loss_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.log");
    let mut tail = Tail::new(path.clone());
    append(&path, "one\nhalf a li");
    assert_eq!(everything(&mut tail), ["one"]);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, "two\n");
    assert_eq!(everything(&mut tail), ["two"]);
    assert_eq!(tail.lost, "half a li".len() as u64 + 1);
}

#[test]
fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.log");
    let mut tail = Tail::new(path.clone());
    append(&path, &format!("{}\nnext\n", "x".repeat(LONGEST_LINE * 3 + 5)));
    let lines = everything(&mut tail);
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE, 4]);
    assert_eq!(tail.lost, (LONGEST_LINE * 2 + 5) as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_written_during_an_outage_of_the_store_are_all_delivered_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.log");
    let data = Some(folder.path().join("data"));
    let store = logstore::Server::start(logstore::Options { data: data.clone(), ..Default::default() }).await.unwrap();
    let address = store.address;
    let labels = BTreeMap::from([("service".to_owned(), "quiet".to_owned())]);
    let source = Source { path: path.clone(), labels };
    let collector = Collector::start(&format!("http://{address}"), &Access::default(), vec![source]);
    append(&path, "before\n");
    eventually("the first line", || collector.tally().delivered == 1);
    store.stop().await.unwrap();
    let during: String = (0..2000).map(|n| format!("during {n}\n")).collect();
    append(&path, &during);
    let options = logstore::Options { data, listen: address, ..Default::default() };
    let _store = logstore::Server::start(options).await.unwrap();
    append(&path, "after\n");
    eventually("the last line", || collector.tally().delivered == 2002);
    assert_eq!(collector.tally(), Tally { delivered: 2002, refused: 0, lost_bytes: 0 });
    let query = "sum(count_over_time({service=\"quiet\"} |= \"during\" [1h]))";
    let url = reqwest::Url::parse_with_params(&format!("http://{address}/loki/api/v1/query"), [("query", query)]);
    let answer: serde_json::Value = ready::client().get(url.unwrap()).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["result"][0]["value"][1], "2000", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_will_never_take_is_counted_and_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.log");
    let store = logstore::Server::start(logstore::Options::default()).await.unwrap();
    // a stream without a label is refused for good
    let source = Source { path: path.clone(), labels: BTreeMap::new() };
    let collector = Collector::start(&format!("http://{}", store.address), &Access::default(), vec![source]);
    append(&path, "one\n");
    eventually("the refusal", || collector.tally().refused == 1);
    append(&path, "two\n");
    eventually("the second refusal", || collector.tally().refused == 2);
    assert_eq!(collector.tally().delivered, 0);
}
