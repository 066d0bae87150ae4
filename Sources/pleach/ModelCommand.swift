import ArgumentParser

struct ModelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Make, look at, measure and convert model files.",
        discussion: "Example: pleach model new cnn --out cnn.onnx && pleach model inspect cnn.onnx",
        subcommands: [
            ModelNewCommand.self, ModelInspectCommand.self, ModelEvaluateCommand.self, ModelExportCommand.self,
            ModelRunCommand.self, ModelPruneCommand.self, ModelQuantizeCommand.self, ModelFactorizeCommand.self,
        ])
}
