import Foundation
import Testing

@testable import Federation
@testable import Monitor

@Suite struct MetricsTests {
    private static func text(_ picture: RunPicture = StatusServerTests.picture()) -> String {
        Metrics.text(of: picture, memory: (1000, 2000))
    }

    @Test func writesThePrometheusFormat() {
        let text = Self.text()
        for line in [
            #"pleach_run_info{run="r\"1\\\n",plan="<b>demo</b>",state="running"} 1"#,
            #"pleach_run_state{state="running"} 1"#, #"pleach_run_state{state="failed"} 0"#,
            "# TYPE pleach_rounds_completed_total counter", "pleach_rounds_completed_total 3",
            "# TYPE pleach_wire_bytes_total counter", #"pleach_wire_bytes_total{direction="up"} 1000"#,
            #"pleach_wire_bytes_total{direction="down"} 2000"#, "pleach_sparsity_ratio 0.25",
            #"pleach_round{kind="prune",task="score"} 4"#, "pleach_round_age_seconds 12.5",
            #"pleach_workers{state="working"} 1"#, #"pleach_workers{state="lost"} 0"#,
            #"pleach_workers{state="left"} 0"#, "pleach_round_missing_workers 1",
            #"pleach_worker_silence_seconds{worker="a\n\""} 0.5"#, #"pleach_refusals_total{reason="declined"} 1"#,
            #"pleach_refusals_total{reason="norm"} 1"#, #"pleach_refusals_total{reason="other"} 0"#,
            "pleach_contributions_refused_total 1", "pleach_fold_seconds_total 0.125",
            #"pleach_loss{data="train"} 0.5"#, "process_resident_memory_bytes 1000",
            "pleach_process_peak_memory_bytes 2000",
        ] {
            #expect(text.contains(line + "\n"), "\(line)")
        }
        #expect(!text.contains("pleach_accuracy_ratio"))
        #expect(!text.contains("worker=\"b"))
    }

    /// Buckets add up, and the last one holds all.
    @Test func roundTimesAreAHistogram() {
        let text = Self.text()
        for line in [
            "# TYPE pleach_round_seconds histogram", #"pleach_round_seconds_bucket{task="train",le="0.1"} 0"#,
            #"pleach_round_seconds_bucket{task="train",le="0.25"} 1"#,
            #"pleach_round_seconds_bucket{task="train",le="5"} 1"#,
            #"pleach_round_seconds_bucket{task="train",le="10"} 2"#,
            #"pleach_round_seconds_bucket{task="train",le="3600"} 2"#,
            #"pleach_round_seconds_bucket{task="train",le="+Inf"} 2"#, #"pleach_round_seconds_sum{task="train"} 7.2"#,
            #"pleach_round_seconds_count{task="train"} 2"#,
        ] {
            #expect(text.contains(line + "\n"), "\(line)")
        }
    }

    @Test func eachFamilyIsDeclaredOnceAboveItsSamples() {
        var declared: [String] = []
        for line in Self.text().split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE ") {
                #expect(!declared.contains(String(words[2])))
                declared.append(String(words[2]))
            } else if !line.hasPrefix("#") {
                var name = String(line.prefix { $0 != "{" && $0 != " " })
                for suffix in ["_bucket", "_sum", "_count"] where declared.last.map({ $0 + suffix }) == name {
                    name = declared.last ?? ""
                }
                #expect(name == declared.last ?? "")
            }
        }
        #expect(declared.count > 20)
    }

    /// docs/metrics.md lists every family, and no other.
    @Test func everyFamilyIsDocumented() throws {
        var status = StatusServerTests.status()
        status.accuracy = 0.5
        var picture = StatusServerTests.picture(status)
        var rounds = RunCourse.Rounds(
            first: 0, last: 0, stage: 0, task: "train", sparsity: 0)
        rounds.bitsPerWeight = 0.5
        picture.course.rounds = [rounds]
        let families = Set(
            Self.text(picture).split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map { line in
                String(line.split(separator: " ")[2])
            })
        let documented = try MetricsDocument.families()
        #expect(families == documented)
    }

    @Test func leavesOutWhatIsNotKnown() {
        var status = StatusServerTests.status()
        status.round = nil
        status.workers = []
        status.accuracy = .nan
        var picture = StatusServerTests.picture(status)
        picture.times = RoundTimes()
        let text = Self.text(picture)
        #expect(!text.contains("pleach_round_"))
        #expect(text.contains("pleach_accuracy_ratio NaN\n"))
    }
}

/// The table of docs/metrics.md.
private enum MetricsDocument {
    static func families() throws -> Set<String> {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("docs/metrics.md"), encoding: .utf8)
        let names = text.split(separator: "\n").filter { $0.hasPrefix("| `") }.compactMap { line in
            line.split(separator: "`").dropFirst().first.map { String($0.prefix { $0 != "{" }) }
        }
        return Set(names.filter { $0.hasPrefix("pleach_") || $0.hasPrefix("process_") })
    }
}
