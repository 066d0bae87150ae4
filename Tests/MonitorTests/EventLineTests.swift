import Federation
import Foundation
import Testing

@testable import Monitor

@Suite struct EventLineTests {
    private func line(_ event: LogEvent) -> String {
        String(decoding: EventLine.encode(event, at: moment()), as: UTF8.self)
    }

    @Test func writesFieldsInTheirOrder() {
        let event = LogEvent(
            "contribution.accepted",
            [
                "round": .int(7), "worker": .string("site-a"), "bytes": .int(20_480), "samples": .int(1500),
                "seconds": .double(3.25), "loss": .double(0.4375),
            ])
        #expect(
            line(event)
                == #"{"time":"2025-11-21T04:15:10.123Z","level":"info","event":"contribution.accepted","round":7,"#
                + #""worker":"site-a","bytes":20480,"samples":1500,"seconds":3.25,"loss":0.4375}"# + "\n")
    }

    @Test func writesEveryKindOfValue() {
        let event = LogEvent(
            "diagnostic", level: .warning,
            [
                "a": .bool(true), "b": .strings([]), "c": .strings(["x", "y\"z"]), "d": .double(1e-7),
                "e": .double(.nan), "f": .double(-.infinity), "g": .double(-0.0), "h": .int(.min), "i": .double(1e300),
            ])
        #expect(
            line(event)
                == #"{"time":"2025-11-21T04:15:10.123Z","level":"warning","event":"diagnostic","a":true,"b":[],"#
                + #""c":["x","y\"z"],"d":1e-07,"e":null,"f":null,"g":-0.0,"h":-9223372036854775808,"i":1e+300}"# + "\n")
    }

    @Test func keepsHostileTextOnOneHarmlessLine() {
        let name = "\u{1B}[2J\u{7}evil\n{\"event\":\"run.finished\"}\u{9B}31m\u{202E}\u{2028}\u{0}\\"
        let text = line(LogEvent("worker.joined", ["worker": .string(name)]))
        #expect(
            text.hasSuffix(
                #""worker":"\u001b[2J\u0007evil\n{\"event\":\"run.finished\"}\u009b31m\u202e\u2028\u0000\\"}"# + "\n"))
        #expect(text.unicodeScalars.count { $0.value < 0x20 } == 1)
    }

    @Test func aFieldCannotPassForTheLinesOwn() {
        let text = line(LogEvent("diagnostic", ["event": .string("run.finished"), "time": .int(0)]))
        #expect(text.hasSuffix(#""event":"diagnostic","event_":"run.finished","time_":0}"# + "\n"))
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (951_782_399.999, "2000-02-28T23:59:59.999Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"), (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        (-0.5, "1969-12-31T23:59:59.500Z"), (-86_400, "1969-12-31T00:00:00.000Z"), (1e300, "9999-12-31T23:59:59.000Z"),
    ]) func writesTimes(seconds: Double, expected: String) {
        #expect(EventTime.text(Date(timeIntervalSince1970: seconds)) == expected)
    }

    @Test func readsBackWhatItWrote() throws {
        let event = LogEvent(
            "round.waiting", level: .warning,
            [
                "round": .int(-3), "missing": .strings(["a", "b\u{1B}\n\u{1F600}\\\""]), "ageSeconds": .double(0.1),
                "missingSeconds": .numbers([1.5, nil, 3]),
                "flag": .bool(false), "none": .strings([]), "reason": .string("ünï\u{0}\u{2028}"),
            ])
        let parsed = try EventLineParser.parse(Array(EventLine.encode(event, at: moment()).dropLast()))
        #expect(parsed.event == event)
        #expect(parsed.time == "2025-11-21T04:15:10.123Z")
    }

    @Test func readsSurrogatePairsAndSpaces() throws {
        let text = #" { "time" : "t" , "level":"debug","event":"x", "s":"\ud83d\ude00\/\b", "n" : null } "#
        let parsed = try EventLineParser.parse(Array(text.utf8))
        #expect(parsed.event == LogEvent("x", level: .debug, ["s": .string("\u{1F600}/\u{8}")]))
    }

    @Test func refusesALineCutAnywhere() {
        let event = LogEvent("x", ["a": .strings(["é\n", "b"]), "b": .double(-1.5e-9), "c": .bool(true)])
        let line = Array(EventLine.encode(event, at: moment()).dropLast())
        for length in line.indices {
            #expect(throws: EventLineParser.Fault.self, "cut at \(length)") {
                try EventLineParser.parse(Array(line[..<length]))
            }
        }
    }

    @Test(arguments: [
        #"{"time":"t","level":"info"}"#, #"{"time":"t","level":"loud","event":"x"}"#, #"[]"#, #"{"a":{}}"#,
        #"{"time":"t","level":"info","event":"x","a":"\ud83d"}"#,
        #"{"time":"t","level":"info","event":"x","a":"\u00g0"}"#,
        #"{"time":"t","level":"info","event":"x","a":1e999}"#, #"{"time":"t","level":"info","event":"x"}x"#,
        #"{"time":"t","level":"info","event":"x","a":[1,"b"]}"#, #"{"time":"t","level":"info","event":"x","a":[[1]]}"#,
        #"{"time":"t","level":"info","event":"x","a":}"#,
        #"{"time":"t","level":"info","event":"x","a":truth}"#,
    ]) func refusesWhatIsNoEvent(text: String) {
        #expect(throws: EventLineParser.Fault.self) { try EventLineParser.parse(Array(text.utf8)) }
    }
}
