import Testing

@testable import Monitor

@Suite struct MetricsTests {
    @Test func writesThePrometheusFormat() {
        let text = Metrics.text(of: StatusServerTests.status())
        for line in [
            #"pleach_run_info{run="r\"1\\\n",plan="<b>demo</b>",state="running"} 1"#,
            "# TYPE pleach_rounds_completed_total counter", "pleach_rounds_completed_total 3",
            "# TYPE pleach_wire_bytes_total counter", #"pleach_wire_bytes_total{direction="up"} 1000"#,
            #"pleach_wire_bytes_total{direction="down"} 2000"#, "pleach_sparsity_ratio 0.25",
            #"pleach_round{kind="prune",task="score"} 4"#, "pleach_round_age_seconds 12.5",
            #"pleach_workers{state="working"} 1"#, #"pleach_workers{state="lost"} 0"#,
            #"pleach_worker_silence_seconds{worker="a\n\""} 0.5"#,
        ] {
            #expect(text.contains(line + "\n"), "\(line)")
        }
        #expect(!text.contains("pleach_accuracy_ratio"))
        #expect(!text.contains("worker=\"b"))
    }

    @Test func eachFamilyIsDeclaredOnceAboveItsSamples() {
        var declared: [String] = []
        for line in Metrics.text(of: StatusServerTests.status()).split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE ") {
                #expect(!declared.contains(String(words[2])))
                declared.append(String(words[2]))
            } else if !line.hasPrefix("#") {
                #expect(line.prefix { $0 != "{" && $0 != " " } == declared.last ?? "")
            }
        }
        #expect(declared.count > 15)
    }

    @Test func leavesOutWhatIsNotKnown() {
        var status = StatusServerTests.status()
        status.round = nil
        status.workers = []
        status.accuracy = .nan
        let text = Metrics.text(of: status)
        #expect(!text.contains("pleach_round_"))
        #expect(text.contains("pleach_accuracy_ratio NaN\n"))
    }
}
