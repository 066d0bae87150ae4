import Foundation
import Tensors
import Testing

#if canImport(Engine)
    @testable import Engine
#else
    @testable import EngineData
#endif

/// The real set, from the folder that PLEACH_DATA names, else ../shared/data beside the package.
private let mnist: String = {
    if let folder = ProcessInfo.processInfo.environment["PLEACH_DATA"] { return "\(folder)/mnist" }
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    return package.deletingLastPathComponent().appendingPathComponent("shared/data/mnist").path
}()

private let isMissing = !FileBytes.isFolder(mnist)

@Suite(.disabled(if: isMissing, "no MNIST in \(mnist): set PLEACH_DATA to a folder with mnist/ to run these"))
struct DataMnistTests {
    @Test func trainingSetLoads() throws {
        let set = try loadDataset("idx:\(mnist)?limit=1000&seed=1")
        let labels = try Idx.read(path: "\(mnist)/train-labels-idx1-ubyte.gz")
        #expect(labels.shape == [60_000])
        #expect(labels.bytes.count { $0 == 1 } == 6_742)
        #expect(set.count == 1_000 && set.sampleShape == [1, 28, 28] && set.classCount == 10)
        #expect(set.classHistogram().allSatisfy { $0 > 60 && $0 < 150 })
        // MNIST's mean ink is 0.1307 of full.
        let values = set.batch(0..<200).inputs.floats
        let mean = values.reduce(0, +) / Float(values.count)
        #expect(abs(mean - 0.1307) < 0.01, "\(mean)")
        #expect(values.min() == 0 && values.max() == 1)
    }

    @Test func testSetShardsCoverIt() throws {
        let whole = try loadDataset("idx:\(mnist)?split=test")
        #expect(whole.count == 10_000)
        #expect(whole.classHistogram() == [980, 1_135, 1_032, 1_010, 982, 892, 958, 1_028, 974, 1_009])
        let parts = try (1...4).map { try loadDataset("idx:\(mnist)?split=test&partition=dirichlet:0.5&shard=\($0)/4") }
        #expect(parts.map(\.count) == [2_500, 2_500, 2_500, 2_500])
        let sum = parts.map { $0.classHistogram() }.reduce([Int](repeating: 0, count: 10)) { zip($0, $1).map(+) }
        #expect(sum == whole.classHistogram())
    }
}
