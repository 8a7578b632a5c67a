// The least that a gRPC server of this protocol can do: hands the bytes of a request back. What is left of a figure beside it is the server's own.
//
// Its metadata are of a model "x: FP32[-1,1] -> y", so `tandem load identity --protocol grpc` measures it. Usage: grpc_echo PORT; ends at the end of its input.
#include <absl/synchronization/mutex.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <string>

#include "inference_service.grpc.pb.h"

namespace {

using namespace inference;

using Service = GRPCInferenceService::WithCallbackMethod_ModelInfer<
    GRPCInferenceService::WithCallbackMethod_ModelMetadata<GRPCInferenceService::Service>>;

class Echo final : public Service {
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context, const ModelInferRequest* request, ModelInferResponse* response) override {
    response->set_model_name(request->model_name());
    for (const auto& input : request->inputs()) {
      auto& output = *response->add_outputs();
      output.set_name("y");
      output.set_datatype(input.datatype());
      *output.mutable_shape() = input.shape();
    }
    *response->mutable_raw_output_contents() = request->raw_input_contents();
    return finish(context);
  }

  grpc::ServerUnaryReactor* ModelMetadata(grpc::CallbackServerContext* context, const ModelMetadataRequest* request, ModelMetadataResponse* response) override {
    response->set_name(request->name());
    const auto describe = [](ModelMetadataResponse::TensorMetadata& tensor, const char* name) {
      tensor.set_name(name);
      tensor.set_datatype("FP32");
      tensor.add_shape(-1);
      tensor.add_shape(1);
    };
    describe(*response->add_inputs(), "x");
    describe(*response->add_outputs(), "y");
    return finish(context);
  }

  static grpc::ServerUnaryReactor* finish(grpc::CallbackServerContext* context) {
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

}  // namespace

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as our server has it
  Echo echo;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(std::string("127.0.0.1:") + (argc > 1 ? argv[1] : "0"), grpc::InsecureServerCredentials(), &port);
  const auto server = builder.RegisterService(&echo).BuildAndStart();
  if (!server) return 4;
  std::printf("%d\n", port);
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
