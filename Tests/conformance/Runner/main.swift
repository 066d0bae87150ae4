// make conformance: runs ONNX models that Tests/conformance/run.py wrote, one process for many of them.
//
//     pleach-conformance FOLDER < names     for each name: FOLDER/name/{model.onnx,in.safetensors} to out.safetensors
//     pleach-conformance --operators        the operators the engine runs, with their first and last opsets
//
// One line before and one after each case, so that a crash is found and blamed on its case.

import Engine
import Foundation
import ModelGraph
import Tensors

/// Written at once: what is still in a buffer would be lost in a crash.
private func tell(_ words: String...) {
    let line = words.joined(separator: " ").replacingOccurrences(of: "\n", with: " ")
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

private func run(_ folder: String) throws {
    let graph = try Graph.load(path: folder + "/model.onnx")
    try graph.validateOperators(supported: SupportedOperators.table)
    let inputs = try Safetensors.read(path: folder + "/in.safetensors").tensors
    let results = try Executable(graph).run(inputs)
    try Safetensors.write(results, path: folder + "/out.safetensors")
}

/// Whether an error says that something is not implemented, rather than that it went wrong.
private func isRefusal(_ error: any Error) -> Bool {
    switch error {
    case EngineError.unsupported, ModelError.unsupportedFile, ModelError.unsupportedOperator,
        ModelError.unsupportedOpset:
        true
    default: false
    }
}

guard CommandLine.arguments.count == 2 else {
    print("usage: pleach-conformance FOLDER < names | pleach-conformance --operators")
    exit(2)
}
if CommandLine.arguments[1] == "--operators" {
    for (name, opsets) in SupportedOperators.table.sorted(by: { $0.key < $1.key }) {
        tell(name, "\(opsets.lowerBound)", "\(opsets.upperBound)")
    }
    exit(0)
}
EngineRuntime.setThreads(1)
while let name = readLine() {
    tell("begin", name)
    do {
        try run(CommandLine.arguments[1] + "/" + name)
        tell("ran", name)
    } catch {
        tell(isRefusal(error) ? "refused" : "failed", name, "\(error)")
    }
}
