import Tensors
import Testing

#if canImport(Engine)
    @testable import Engine
#else
    @testable import EngineData
#endif

@Suite struct DataSpecTests {
    private func parse(_ text: String, _ environment: [String: String] = [:]) throws(DataError) -> DataSpec {
        try DataSpec(parsing: text, environment: environment)
    }

    @Test func everyOptionIsRead() throws {
        let spec = try parse(
            "npy:a/b?split=test&shard=2/8&partition=dirichlet:0.5&seed=7&limit=5000&scale=255&mean=0.5,0.25,1e-3&std=2")
        #expect(spec.kind == .npy && spec.path == "a/b" && spec.split == .test)
        #expect(spec.shard == DataSpec.Shard(index: 2, count: 8))
        #expect(spec.partition == .dirichlet(0.5) && spec.seed == 7 && spec.limit == 5_000)
        #expect(spec.scale == 255 && spec.mean == [0.5, 0.25, 0.001] && spec.std == [2])
    }

    @Test(arguments: [
        "idx:data/mnist", "npy:/x?split=train", "synthetic:digits?split=test&seed=18446744073709551615&samples=10",
        "safetensors:f.st?shard=1/1&partition=classes:2&limit=3",
        "idx:a?partition=dirichlet:0.5&scale=0.1&mean=-1,2.5&std=1",
        "folder:a?split=train&size=32x40&channels=1&crop=4&flip=true&cutout=8&mixup=0.2", "folder:a?size=32&flip=false",
        "tokens:a?partition=contiguous&type=uint16&length=64&objective=masked&mask=4&vocabulary=30",
    ])
    func canonicalFormsAreFixedPoints(text: String) throws { #expect(try parse(text).description == text) }

    @Test func defaultsAreLeftOutAndOrderIsFixed() throws {
        #expect(
            try parse("idx:a?seed=0&partition=iid&limit=05&split=test&scale=1e0").description
                == "idx:a?split=test&limit=5&scale=1")
    }

    @Test func changesKeepTheRest() throws {
        let spec = try parse("idx:a?seed=3&partition=classes:2")
        #expect(
            spec.with(split: .test).with(shardIndex: 2, count: 4).description
                == "idx:a?split=test&shard=2/4&partition=classes:2&seed=3")
        #expect(spec.with(split: .test).with(split: nil) == spec)
    }

    @Test func variablesExpand() throws {
        let text = "idx:${PLEACH_DATA:-../shared/data}/mnist?seed=${SEED:-4}"
        #expect(try parse(text).description == "idx:../shared/data/mnist?seed=4")
        #expect(try parse(text, ["PLEACH_DATA": "/d", "SEED": "9"]).description == "idx:/d/mnist?seed=9")
        #expect(try parse(text, ["PLEACH_DATA": ""]).path == "../shared/data/mnist")
        #expect(try parse("idx:${A}${B:-}/x", ["A": "q"]).path == "q/x")
        expectRefusal("environment variable A is not set") { try parse("idx:${A}") }
        expectRefusal("no closing '}'") { try parse("idx:${A") }
        expectRefusal("names no variable") { try parse("idx:${}") }
        expectRefusal("'${' after expansion") { try parse("idx:${A}", ["A": "${A}"]) }
    }

    @Test(arguments: [
        ("", "KIND:PLACE"),
        ("data/mnist", "KIND:PLACE"),
        ("idx:", "no place"),
        ("idx:?seed=1", "no place"),
        ("ixd:a", "unknown kind 'ixd'; did you mean 'idx'?"),
        ("parquet:a", "unknown kind 'parquet'; use idx:"),
        ("idx:a?size=32", "option 'size' is for folder: only"),
        ("npy:a?length=3", "option 'length' is for tokens: only"),
        ("tokens:a?flip=true", "option 'flip' is for idx:, npy:, safetensors:, folder:, synthetic: only"),
        ("tokens:a?scale=2", "option 'scale' is for"),
        ("folder:a?size=32x", "HEIGHTxWIDTH"),
        ("folder:a?size=1x2x3", "HEIGHTxWIDTH"),
        ("folder:a?size=5000", "from 1 to 4096"),
        ("folder:a?channels=2", "1 or 3"),
        ("folder:a?crop=0", "from 1 to 4096"),
        ("folder:a?flip=yes", "true or false"),
        ("folder:a?cutout=-1", "from 1 to 4096"),
        ("folder:a?mixup=0", "from 0.001"),
        ("tokens:a?type=float32", "uint8, uint16, uint32"),
        ("tokens:a?length=0", "from 1 to"),
        ("tokens:a?objective=both", "next or masked"),
        ("tokens:a?objective=masked", "needs mask=ID"),
        ("tokens:a?mask=3", "objective=masked"),
        ("tokens:a?objective=masked&mask=9&vocabulary=9", "below vocabulary=9"),
        ("tokens:a?partition=classes:2", "tokens have no classes"),
        ("synthetic:letters", "synthetic:letters is unknown; this version draws synthetic:digits"),
        ("idx:a?splt=train", "unknown option 'splt'; did you mean 'split'?"),
        ("idx:a?colour=red", "unknown option 'colour'; options are split, shard"),
        ("idx:a?", "not of the form option=value"),
        ("idx:a?seed", "'seed' is not of the form"),
        ("idx:a?seed=1&seed=1", "'seed' is given twice"),
        ("idx:a?split=validation", "option split=validation needs train or test"),
        ("idx:a?shard=0/4", "k/n with k from 1 to n"),
        ("idx:a?shard=5/4", "k/n with k from 1 to n"),
        ("idx:a?shard=1", "k/n"),
        ("idx:a?partition=random", "iid, contiguous, dirichlet:ALPHA"),
        ("idx:a?partition=dirichlet:0", "iid, contiguous, dirichlet:ALPHA"),
        ("idx:a?partition=dirichlet:nan", "iid, contiguous, dirichlet:ALPHA"),
        ("idx:a?partition=classes:0", "classes:K"),
        ("idx:a?seed=-1", "whole number from 0"),
        ("idx:a?limit=0", "at least 1"),
        ("idx:a?scale=0", "above 0"),
        ("idx:a?scale=1,2", "one number above 0"),
        ("idx:a?mean=1,,2", "one per channel"),
        ("idx:a?mean=inf", "one per channel"),
        ("idx:a?std=1,0", "above 0"),
        ("idx:a?samples=5", "use limit="),
        ("synthetic:digits?samples=99999999", "from 1 to 1000000"),
    ])
    func mistakesAreNamed(text: String, reason: String) {
        let message = dataErrorMessage { try parse(text) }
        #expect(message.contains(reason), "\(message)")
        #expect(!message.contains("\n"))
    }
}
