//! Each command, end to end.

use serde_json::Value;

use crate::support::{Place, ivecs, npy_ids_as};

/// The documented fields, each of the given kind.
#[track_caller]
fn has(json: &Value, numbers: &[&str], texts: &[&str]) {
    for name in numbers {
        assert!(json[name].is_number(), "{name}: {json}");
    }
    for name in texts {
        assert!(json[name].is_string(), "{name}: {json}");
    }
}

#[test]
fn a_build_states_what_it_built() {
    let place = Place::new();
    let text = place.steep("build base.fvecs -o l2.steep").good();
    assert!(text.starts_with("300 vectors of 8 dimensions (f32), metric l2, spec auto\n"), "{text}");
    let json = place.steep("build base.fvecs -o ip.steep -m ip -s flat-raw -t 1 --json").json();
    has(&json, &["build_seconds", "save_seconds", "bytes", "bytes_per_vector"], &["index", "dtype"]);
    assert_eq!(
        (&json["metric"], &json["spec"], &json["vectors"]),
        (&"ip".into(), &"flat-raw".into(), &300.into())
    );
    assert_eq!(json["file_bytes"], place.read("ip.steep").len());
}

#[test]
fn a_search_finds_what_the_truth_says() {
    let place = Place::new();
    place.steep("groundtruth base.fvecs queries.fvecs -k 7 -m cosine -o truth.ivecs -d truth.fvecs").good();
    place.steep("search docs.steep queries.fvecs -k 7 -o found.ivecs -d found.fvecs").good();
    assert_eq!(place.read("found.ivecs"), place.read("truth.ivecs"));
    assert_eq!(place.read("found.fvecs"), place.read("truth.fvecs"));
    let rows = ivecs(&place.read("found.ivecs"));
    assert_eq!((rows.len(), rows[0].len()), (20, 7));

    let json = place.steep("search docs.steep queries.fvecs -k 7 --json").json();
    assert_eq!(json["results"].as_array().unwrap().len(), 20);
    for (row, result) in rows.iter().zip(json["results"].as_array().unwrap()) {
        assert_eq!(result["ids"], Value::from(row.clone()));
        assert!(result["distances"][0].as_f64().unwrap() <= result["distances"][6].as_f64().unwrap());
    }
}

#[test]
fn a_search_shows_the_first_rows() {
    let place = Place::new();
    let text = place.steep("search docs.steep queries.fvecs -k 3").good();
    assert!(text.starts_with("query  rank"), "{text}");
    assert_eq!(text.lines().count(), 1 + 5 * 3 + 1 + 2, "{text}");
    assert!(text.contains("15 queries not shown: --rows N shows more"), "{text}");
    let text = place.steep("search docs.steep queries.fvecs -k 3 --rows 20").good();
    assert!(!text.contains("not shown"), "{text}");
}

#[test]
fn more_neighbours_than_vectors_are_padded_in_files_and_left_out_elsewhere() {
    let place = Place::new();
    place.steep("search docs.steep queries.fvecs -k 400 -o found.npy").good();
    place.steep("search docs.steep queries.fvecs -k 400 -o found.ivecs").good();
    assert_eq!(ivecs(&place.read("found.ivecs"))[0][300..], [-1; 100]);
    let json = place.steep("search docs.steep queries.fvecs -k 400 --rows 1 --json").json();
    assert_eq!(json["results"][0]["ids"].as_array().unwrap().len(), 300);
}

#[test]
fn ids_of_ones_own_come_back() {
    let place = Place::new();
    place.steep("build base.fvecs -o named.steep -m cosine --ids ids.npy").good();
    let plain = place.steep("search docs.steep queries.fvecs --json").json();
    let named = place.steep("search named.steep queries.fvecs --json").json();
    let id = |json: &Value| json["results"][3]["ids"][2].as_u64().unwrap();
    assert_eq!(id(&named), 1000 + 3 * id(&plain));
    assert_eq!(place.steep("eval named.steep queries.fvecs --json").json()["recall"], 1.0);
}

#[test]
fn ids_of_64_bits_go_in_and_out_as_npy() {
    let place = Place::new();
    let first = u64::MAX - 300; // up to 2⁶⁴ − 2, the largest there may be
    let ids: Vec<i64> = (0..300).map(|row| (first + row) as i64).collect();
    place.write("large.npy", &npy_ids_as("<u8", "(300,)", &ids));
    place.steep("build base.fvecs -o large.steep -m cosine --ids large.npy").good();
    place.steep("search large.steep base.fvecs -k 1 -o found.npy").good();
    let [given, found] = ["large.npy", "found.npy"].map(|name| place.read(name));
    assert!(String::from_utf8_lossy(&found).contains("'<u8', 'fortran_order': False, 'shape': (300, 1)"));
    assert!(found[found.len() - 2400..] == given[given.len() - 2400..]);
    let json = place.steep("search large.steep base.fvecs -k 1 --json").json();
    assert_eq!(json["results"][299]["ids"][0], u64::MAX - 1);
    // What a search wrote is a truth to measure by.
    let eval = place.steep("eval large.steep base.fvecs -k 1 --truth found.npy -t 1 --json").json();
    assert_eq!(eval["recall"], 1.0);

    for name in ["found.ivecs", "found.ibin"] {
        let ended = place.steep(&format!("search large.steep queries.fvecs -k 1 -o {name}"));
        assert_eq!(ended.code, Some(1));
        let said = "beyond the 32 bits that this format has for one: write a .npy file\n";
        assert!(ended.err.starts_with(&format!("error: {name}: row 0 holds id 18446744073709551")));
        assert!(ended.err.ends_with(said), "{}", ended.err);
        assert!(!place.path(name).exists());
    }
}

#[test]
fn an_evaluation_states_recall_speed_and_bytes() {
    let place = Place::new();
    place.steep("groundtruth base.fvecs queries.fvecs -m cosine -k 10 -o truth.npy").good();
    let json = place.steep("eval docs.steep queries.fvecs --truth truth.npy -t 1,2,1 --json").json();
    has(
        &json,
        &["recall", "queries", "k", "bytes", "bytes_per_vector"],
        &["index", "truth", "metric", "spec"],
    );
    assert_eq!(json["recall"], 1.0);
    let threads: Vec<_> = json["batch"].as_array().unwrap().iter().map(|batch| &batch["threads"]).collect();
    assert_eq!(threads, [&Value::from(1), &Value::from(2)]);
    has(&json["batch"][0], &["qps", "seconds", "runs", "gmacs"], &[]);
    has(&json["single"], &["calls", "qps", "mean_us", "p50_us", "p99_us"], &[]);

    let text = place.steep("eval docs.steep queries.fvecs -k 5 --threads 1").good();
    assert!(text.contains("recall@5 1.0000 (against the exact neighbours"), "{text}");
    assert!(text.contains("one query a call"), "{text}");
}

#[test]
fn recall_counts_what_is_missing() {
    let place = Place::new();
    place.steep("groundtruth base.fvecs queries.fvecs -k 10 -m l2 -o other.ivecs").good();
    let recall =
        place.steep("eval docs.steep queries.fvecs --truth other.ivecs --json").json()["recall"].as_f64();
    assert!(recall.is_some_and(|recall| recall > 0.1 && recall < 1.0), "{recall:?}"); // another metric's truth
}

#[test]
fn a_bench_builds_measures_and_saves_nothing() {
    let place = Place::new();
    let before = place.files();
    let json = place.steep("bench base.fvecs queries.fvecs -m ip --threads 1 --json").json();
    has(&json, &["build_seconds", "recall", "vectors", "bytes_per_vector"], &["base", "spec"]);
    assert_eq!(json["recall"], 1.0);
    assert!(place.steep("bench base.fvecs queries.fvecs").good().contains("GMAC/s"));
    assert_eq!(place.files(), before);
}

#[test]
fn a_graph_is_measured_at_each_setting() {
    let place = Place::new();
    let json = place.steep("bench base.fvecs queries.fvecs -s graph64 -t 1 --json").json();
    has(&json, &["recall", "hops", "estimates", "reranked", "bytes_per_vector"], &["spec"]);
    assert_eq!((&json["spec"], &json["ef_search"]), (&"graph64".into(), &Value::Null));
    assert!(json["batch"][0]["gmacs"].is_null(), "not every vector is compared: {json}");

    let sweep = "bench base.fvecs queries.fvecs -s graph -t 1,2 --ef-search 10,300,10 --rerank 30";
    let json = place.steep(&format!("{sweep} --json")).json();
    assert!(json["recall"].is_null() && json["bytes_per_vector"].is_number(), "{json}");
    let [narrow, wide] = json["settings"].as_array().unwrap().as_slice() else { panic!("{json}") };
    for (setting, ef) in [(narrow, 10), (wide, 300)] {
        has(setting, &["recall", "hops", "estimates"], &[]);
        assert_eq!((&setting["ef_search"], &setting["rerank"]), (&ef.into(), &30.into()));
        has(&setting["batch"][1], &["threads", "qps"], &[]);
        has(&setting["single"], &["p50_us", "p99_us"], &[]);
    }
    assert_eq!((&wide["recall"], &wide["reranked"]), (&1.0.into(), &30.0.into()));
    assert!(narrow["hops"].as_f64() < wide["hops"].as_f64());

    let text = place.steep(sweep).good();
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let head = lines.iter().position(|words| words.first() == Some(&"ef_search")).unwrap();
    let heads = "ef_search recall QPS ×1 QPS ×2 p50 µs p99 µs bytes/vector hops re-ranked";
    assert_eq!(lines[head], heads.split(' ').collect::<Vec<_>>());
    assert_eq!([lines[head + 1][0], lines[head + 2][0], lines[head + 2][1]], ["10", "300", "1.0000"]);
    let text = place.steep("bench base.fvecs queries.fvecs -s graph -t 1 --ef-search 50").good();
    assert!(text.contains("\na query: ") && text.contains(" hops, "), "{text}");
}

#[test]
fn a_graph_is_built_searched_evaluated_and_described() {
    let place = Place::new();
    let text = place.steep("build base.fvecs -o graph.steep -m cosine -s graph").good();
    assert!(text.contains("metric cosine, spec graph\n"), "{text}");
    place.steep("groundtruth base.fvecs queries.fvecs -m cosine -k 10 -o truth.npy").good();
    let all = "search graph.steep queries.fvecs --ef-search 300 --rerank 300";
    place.steep(&format!("{all} -o found.npy -d found.fvecs")).good();
    assert_eq!(place.read("found.npy"), place.read("truth.npy"));
    let json = place.steep("eval graph.steep queries.fvecs --truth truth.npy --ef-search 300 --json").json();
    assert!(json["recall"].as_f64().unwrap() > 0.9, "{json}");
    let json = place.steep("eval graph.steep queries.fvecs --ef-search 20,300 -t 1 --json").json();
    assert_eq!(json["settings"].as_array().unwrap().len(), 2);
    let json = place.steep("info graph.steep --json").json();
    assert_eq!(json["spec"], "graph");
    assert!(json["parts"]["graph"].is_number(), "{json}");
    assert_eq!(json["details"]["reachable"], "300 of 300", "{json}");
    assert!(json["details"]["mean hops"].as_str().unwrap().ends_with("at k 10, ef_search 64"), "{json}");
}

#[test]
fn an_index_tells_of_itself() {
    let place = Place::new();
    let json = place.steep("info docs.steep --verify --json").json();
    has(&json, &["vectors", "dim", "file_bytes"], &["index", "dtype", "metric", "spec"]);
    assert_eq!((&json["verified"], &json["vectors"]), (&true.into(), &300.into()));
    let parts = json["parts"].as_object().unwrap();
    assert_eq!(
        parts.values().map(|bytes| bytes.as_u64().unwrap()).sum::<u64>(),
        json["bytes"].as_u64().unwrap()
    );
    assert!(place.steep("info docs.steep").good().contains("vectors"));
}

#[test]
fn the_processor_is_described() {
    let place = Place::new();
    let cpu = &place.steep("info --cpu --json").json()["cpu"];
    has(cpu, &["cores"], &["isa"]);
    assert_eq!((&cpu["requested"], &cpu["honoured"]), (&Value::Null, &Value::Null));
    assert!(cpu["features"].is_object() && cpu["available"].as_array().unwrap().contains(&cpu["isa"]));

    for (asked, honoured) in [("scalar", true), ("sse9", false)] {
        let mut command = place.command("info --cpu --json");
        command.env("STEEP_ISA", asked);
        let cpu = &crate::support::Ended::of(command).json()["cpu"];
        assert_eq!((&cpu["requested"], &cpu["honoured"]), (&asked.into(), &honoured.into()));
    }
}

#[test]
fn every_help_shows_examples() {
    let place = Place::new();
    for command in ["", "build", "search", "eval", "groundtruth", "info", "bench"] {
        let text = place.steep(&format!("{command} --help")).good();
        assert!(text.contains(&format!("Examples:\n  steep {command}").trim_end().to_owned()), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 112), "{text}");
    }
}
