import Compression
import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Tensors
import Testing
import UpdateCodec

@testable import Worker

/// A worker that trains a part of the model.
struct WidthTests {
    /// A store with a model that has BatchNormalizations and masks, its narrower versions, and a shard.
    private final class Bench {
        let folder: String
        let blobs: BlobStore
        let runner: TaskRunner
        let model: Graph
        let masks: MaskSet
        let graph: BlobReference
        let reference: SnapshotReference
        let changes: [StructureChange]
        let widths: [ModelWidth]

        init() throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("width-\(UUID().uuidString)").path
            let blobs = try BlobStore(directory: folder)
            self.blobs = blobs
            runner = TaskRunner(
                blobs: blobs,
                data: try WorkerData(spec: DataSpec(parsing: "synthetic:digits?samples=40", environment: [:])))
            model = try ModelBuilder.build(
                architecture: "resnet20", inputShape: [1, 28, 28], classes: 10, width: 4, seed: 3)
            let name = try #require(model.prunableNames.first { $0.contains("conv") || $0.contains("weight") })
            var bitmap = Bitmap(repeating: true, count: model.initializers[name]?.elementCount ?? 0)
            for index in stride(from: 0, to: bitmap.count, by: 3) { bitmap[index] = false }
            masks = MaskSet(epoch: 2, bitmaps: [name: bitmap])
            func put(_ bytes: [UInt8]) throws -> BlobReference {
                BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count)
            }
            var snapshot = Snapshot(
                graph: Federation.Digest(hashing: []), parameters: model.parameterTensors(), masks: masks)
            graph = try put(PackedBlob.pack(model.serializedSkeleton()))
            snapshot.graph = graph.digest
            snapshot.zeroDeadWeights()
            reference = SnapshotReference(
                version: 0, snapshot: try put(snapshot.serialized()), graph: graph, maskEpoch: 2)
            changes = try ChannelNesting.changes(of: model, masks: masks, shares: [0.5, 0.25])
            widths = try zip([0.5, 0.25], changes).map {
                ModelWidth(share: $0, change: try put($1.serialized()))
            }
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        func offer(_ width: ModelWidth?, scheme: WireScheme = WireScheme(values: .float32, smallValues: .float32))
            -> TaskOffer
        {
            TaskOffer(
                round: 0, leaseSeconds: 10, seed: 5, snapshot: reference, scheme: scheme, acceptedRounds: 0,
                work: .train(TrainingRecipe(batch: 20, learningRate: 0.1), teacher: nil, width: width))
        }

        func run(_ offer: TaskOffer, residual: Federation.Digest? = nil) throws -> (Submission, Federation.Digest?) {
            #expect(try runner.missing(for: offer, residual: residual).isEmpty)
            let held = try runner.settle(offer)
            #expect(held == [reference.snapshot.digest])
            return try runner.run(offer, residual: residual, progress: { _ in }, isCancelled: { false })
        }

        func layouts() throws -> (narrow: [NarrowModel], nested: NestedLayouts) {
            let narrow = try changes.map { try NarrowModel($0, of: model.skeleton()) }
            let nested = try NestedLayouts(
                whole: TensorLayout(model.parameterTensors()),
                narrow: narrow.map { NarrowLayout(layout: TensorLayout($0.trainable), kept: $0.slices.kept) })
            return (narrow, nested)
        }
    }

    @Test func aPartIsASliceOfTheWholeAndNothingIsAbsorbed() throws {
        let bench = try Bench()
        let (narrow, nested) = try bench.layouts()
        // The values of all layers are those of the whole, shift of BatchNormalizations or not.
        var parameters = bench.model.parameterTensors()
        for name in parameters.names {
            parameters.modify(name) { tensor in
                tensor.withMutableElements(as: Float.self) { for index in $0.indices { $0[index] += 0.25 } }
            }
        }
        for (part, layout) in zip(narrow, nested.narrow) {
            let graph = try part.graph(parameters)
            #expect(Set(graph.initializers.names).isSubset(of: bench.model.initializers.names))
            for (name, tensor) in graph.parameterTensors().ordered {
                #expect(tensor == part.slices.apply(to: try parameters.require(name), named: name))
            }
            #expect(Set(layout.layout.entries.map(\.name)) == Set(bench.model.trainableNames))
            #expect(layout.layout.elementCount < nested.whole.elementCount / 2)
        }
        // Of each group half the channels, then a quarter.
        let groups = try bench.model.channelGroups().groups
        #expect(bench.changes[0].channels.map(\.group) == groups.map(\.name))
        for (half, quarter) in zip(bench.changes[0].channels, bench.changes[1].channels) {
            #expect(half.kept.count == half.width / 2 && quarter.kept.count == half.width / 4)
            #expect(Set(quarter.kept).isSubset(of: half.kept))
        }
    }

    /// Residual adds, depthwise kernels, a flattened map, heads of attention.
    @Test(arguments: ["mlp", "cnn", "resnet18", "mobilenetv2", "transformer"])
    func everyBundledArchitectureHasNarrowerVersions(architecture: String) throws {
        let model = try ModelBuilder.build(
            architecture: architecture, inputShape: nil, classes: nil, width: 16, seed: 3)
        let changes = try ChannelNesting.changes(of: model, masks: MaskSet(), shares: [0.5, 0.25])
        #expect(try ChannelNesting.changes(of: model, masks: MaskSet(), shares: [0.5, 0.25]) == changes)
        let parts = try changes.map { try NarrowModel($0, of: model.skeleton()) }
        let nested = try NestedLayouts(
            whole: TensorLayout(model.parameterTensors()),
            narrow: parts.map { NarrowLayout(layout: TensorLayout($0.trainable), kept: $0.slices.kept) })
        var wider = try model.multiplyAccumulates()
        for (part, layout) in zip(parts, nested.narrow) {
            let macs = try part.graph(model.parameterTensors()).multiplyAccumulates()
            #expect(macs < wider)
            wider = macs
            #expect(layout.layout.entries.count == model.trainableNames.count)
        }
    }

    @Test func aTaskTrainsAndSendsItsPartOnly() throws {
        let bench = try Bench()
        let (narrow, nested) = try bench.layouts()
        let whole = try bench.run(bench.offer(nil)).0
        for (number, width) in bench.widths.enumerated() {
            let (submission, residual) = try bench.run(bench.offer(width))
            #expect(submission.width == width.share && residual == nil)
            #expect(submission.metrics.lossSum > 0 && submission.metrics.measured == 40)
            let blob = try #require(submission.blob)
            #expect(blob.byteCount < (whole.blob?.byteCount ?? 0) / 2)
            let reader = try UpdateReader(
                bench.blobs.get(blob.digest), layout: nested.narrow[number].layout,
                masks: narrow[number].masks(bench.masks))
            #expect(reader.header.base == bench.reference.snapshot.digest.bytes && reader.header.maskEpoch == 2)
            #expect(reader.squaredNorm() > 0)
            // As another layout, or another's masks, it cannot be read.
            #expect(throws: CodecError.self) {
                try UpdateReader(bench.blobs.get(blob.digest), layout: nested.whole, masks: bench.masks)
            }
            // Twice the same bytes.
            #expect(try bench.run(bench.offer(width)).0.blob == blob)
        }
    }

    @Test func whatIsOwedToAPartIsOwedAtItsPlacesAlone() throws {
        let bench = try Bench()
        let lossy = WireScheme(selection: .topK(density: 0.1), values: .int4)
        func run(_ width: ModelWidth?, _ residual: Federation.Digest?) throws -> [Federation.Digest?] {
            let (submission, next) = try bench.run(bench.offer(width, scheme: lossy), residual: residual)
            return [submission.blob?.digest, next]
        }
        let half = try run(bench.widths[0], nil)
        let owed = try #require(half[1])
        let file = try SafetensorsFile(bench.blobs.map(owed), path: "residual")
        #expect(file.metadata[ResidualAdaptation.widthKey] == bench.widths[0].change.digest.hex)
        #expect(try run(bench.widths[0], owed)[0] != half[0], "nothing was owed")
        // At another width, or with other channels at the same, a task begins without it.
        let quarter = try run(bench.widths[1], nil)
        #expect(try run(bench.widths[1], owed) == quarter)
        let whole = try run(nil, nil)
        #expect(try run(nil, owed) == whole)
        #expect(try run(bench.widths[0], whole[1]) == half)
        let other = StructureChange(
            channels: bench.changes[0].channels.map { change in
                let kept = Array(0..<change.width).filter { !change.kept.contains($0) }
                return .init(group: change.group, width: change.width, kept: kept)
            }
        ).serialized()
        let moved = ModelWidth(
            share: 0.5, change: BlobReference(digest: try bench.blobs.put(other), byteCount: other.count))
        let elsewhere = try run(moved, nil)
        #expect(try run(moved, owed) == elsewhere)
        // So it does when the whole model has become smaller since.
        let changes = [KeptChange.structure(bench.widths[1].change, graph: bench.graph)]
        let adaptation = ResidualAdaptation(owed, changes: changes, width: bench.widths[0], blobs: bench.blobs)
        #expect(adaptation.needed.isEmpty)
        #expect(try adaptation.adapted(changes: changes) == nil)
    }

    @Test func aChangeThatIsMissingIsFetchedAndOneThatDoesNotFitFailsTheTask() throws {
        let bench = try Bench()
        let absent = BlobReference(digest: Federation.Digest(hashing: [1]), byteCount: 1)
        let missing = try bench.runner.missing(for: bench.offer(ModelWidth(share: 0.5, change: absent)))
        #expect(missing == [absent])
        for change in [
            StructureChange(channels: [.init(group: "nobody", width: 4, kept: [1])]),
            StructureChange(blocks: try bench.model.residualBlocks().prefix(1).map(\.name)),
        ] {
            let bytes = change.serialized()
            let width = ModelWidth(
                share: 0.5, change: BlobReference(digest: try bench.blobs.put(bytes), byteCount: bytes.count))
            #expect(throws: ModelError.self) { try bench.run(bench.offer(width)) }
        }
    }
}
