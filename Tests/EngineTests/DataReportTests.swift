import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Engine

/// What `pleach data inspect` and `pleach bench data` tell.
@Suite struct DataReportTests {
    @Test func foldersAreDescribedWithNamesShardsAndRanges() throws {
        try withDataFolder { folder in
            for index in 0..<12 {
                let (black, white) = (plainImage(.png, 0, 51, 255), plainImage(.png, 255, 51, 255))
                try writeFiles(["train/cat/\(index).png": black], in: folder)
                if index < 4 { try writeFiles(["train/dog/\(index).png": white], in: folder) }
            }
            let spec = try DataSpec(parsing: "folder:\(folder)?shard=2/3&partition=classes:1&seed=1", environment: [:])
            expectRefusal("classes:1") { try DataReport.make(spec, shards: 1) }
            let (report, data) = try DataReport.make(spec)
            #expect(report.classNames == ["cat", "dog"] && report.classes == 2 && report.targets == "classes")
            #expect(report.inputs == [.init(name: "x", type: "float32", sampleShape: [3, 8, 8])])
            #expect(report.samples == data.count && report.histogram == data.classHistogram())
            #expect(report.shards.map(\.index) == [1, 2, 3] && report.shards[1].histogram == report.histogram)
            #expect(report.shards.reduce(0) { $0 + $1.samples } == 16)
            for shard in report.shards {
                let part = try Dataset.load(spec.with(shardIndex: shard.index, count: 3))
                #expect(shard.histogram == part.classHistogram() && shard.samples == part.count)
            }
            let whole = try DataReport.make(spec.with(limit: nil).with(split: .train), shards: 2).report
            #expect(whole.shards.count == 2)
            let all = try DataReport.make(DataSpec(parsing: "folder:\(folder)", environment: [:])).report
            #expect(all.shards.isEmpty && all.damage.visited == 16 && all.damage.damaged == 0)
            let red = all.values[0]
            #expect(red.channel == 0 && red.minimum == 0 && red.maximum == 1 && abs(red.mean - 0.25) < 1e-6)
            #expect(abs(red.std - 0.1875.squareRoot()) < 1e-6 && abs(all.values[1].mean - 0.2) < 1e-6)
            let text = report.lines.joined(separator: "\n")
            #expect(text.contains("0 cat") && text.contains("2/3") && text.contains("x channel 2"))
            let decoded = try JSONDecoder().decode(DataReport.self, from: JSONEncoder().encode(report))
            #expect(decoded == report)
        }
    }

    @Test func linesFitTheTerminal() throws {
        let spec = try DataSpec(parsing: "synthetic:digits?samples=400&partition=dirichlet:1", environment: [:])
        let report = try DataReport.make(spec, shards: 23).report
        let lines = report.lines
        #expect(lines.allSatisfy { $0.count <= 100 }, "\(lines.map(\.count).max() ?? 0)")
        // Three blocks: ten, ten and three shards.
        #expect(lines.count { $0.hasPrefix("class ") } == 3 && lines.count { $0.hasPrefix("samples ") } == 4)
        #expect(lines.contains { $0.contains("23/23") })
    }

    @Test func damagedFilesAreNamed() throws {
        try withDataFolder { folder in
            for index in 0..<6 { try writeFiles(["train/a/\(index).jpg": plainImage(.jpeg, 0, 0, 0)], in: folder) }
            try writeFiles(["train/a/3.jpg": [0xff, 0xd8, 0xff]], in: folder)
            let spec = try DataSpec(parsing: "folder:\(folder)", environment: [:])
            let report = try DataReport.make(spec).report
            #expect(report.damage.damaged == 1 && report.damage.visited == 6)
            #expect(report.lines.contains { $0.contains("\(folder)/train/a/3.jpg: ") })
            #expect(report.lines.contains { $0.contains("training would refuse this: more than 1 %") })
            try writeFiles(["train/a/3.jpg": plainImage(.jpeg, 0, 0, 0)], in: folder)
            #expect(try !DataReport.make(spec).report.lines.contains { $0.contains("would refuse") })
        }
    }

    @Test func valuesAndTokensHaveNoHistogram() throws {
        try withDataFolder { folder in
            try Npy.write(Tensor((0..<50).map { Int64($0) }, shape: [50]), path: "\(folder)/t.npy")
            let tokens = try DataReport.make(
                DataSpec(parsing: "tokens:\(folder)/t.npy?length=7", environment: [:]), shards: 2
            ).report
            #expect(tokens.targets == "tokens" && tokens.histogram.isEmpty && tokens.classes == 50)
            #expect(tokens.shards.map(\.samples) == [3, 3] && !tokens.lines.isEmpty)
            try Npy.write(Tensor((0..<20).map { Float($0) }, shape: [20]), path: "\(folder)/x.npy")
            try Npy.write(Tensor((0..<20).map { Float($0) }, shape: [20]), path: "\(folder)/y.npy")
            try FileManager.default.removeItem(atPath: "\(folder)/t.npy")
            let values = try DataReport.make(DataSpec(parsing: "npy:\(folder)", environment: [:])).report
            #expect(values.targets == "values" && values.targetShape == [] && values.values.count == 1)
        }
    }

    @Test func aModelThatDoesNotFitIsRefused() throws {
        let data = try loadDataset("synthetic:digits?samples=50")
        func graph(_ shape: [Int], classes: Int) throws -> Graph {
            try ModelBuilder.build(architecture: "cnn", inputShape: shape, classes: classes, width: 2, seed: 1)
        }
        try data.checkFits(graph([1, 28, 28], classes: 10))
        expectRefusal("takes samples of [3, 28, 28]") { try data.checkFits(graph([3, 28, 28], classes: 10)) }
        expectRefusal("outside the model's 5 classes") { try data.checkFits(graph([1, 28, 28], classes: 5)) }
    }

    @Test func theBenchmarkReadsEverySampleOnce() throws {
        let row = try DataBenchmark.run(loadDataset("synthetic:digits?samples=70"), batch: 16, threads: 2, samples: 50)
        #expect(row.samples == 50 && row.damaged == 0 && row.samplesPerSecond > 0 && row.megabytesPerSecond > 0)
    }

    /// The list of kinds and options that people read is complete.
    @Test func everyKindAndOptionIsDocumented() throws {
        let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("protocols/data.md"), encoding: .utf8)
        let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
        for kind in DataSpec.Kind.allCases {
            #expect(text.contains("| `\(kind.rawValue):"), "\(kind) is not in protocols/data.md")
            #expect(readme.contains("`\(kind.rawValue):"), "\(kind) is not in README.md")
        }
        for option in DataSpec.optionNames {
            #expect(text.contains("| `\(option)` |"), "\(option) is not in protocols/data.md")
        }
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("| `") && !$0.contains(":") }
        for row in rows {
            let name = row.dropFirst(3).prefix { $0 != "`" }
            #expect(DataSpec.optionNames.contains(String(name)), "'\(name)' is documented but unknown")
        }
    }
}
