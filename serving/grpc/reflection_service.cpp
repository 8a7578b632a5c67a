#include "serving/grpc/reflection_service-inl.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <mutex>
#include <set>

#include "serving/grpc/call_bytes-inl.h"

namespace tandem::grpc_detail {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1alpha::FileDescriptorResponse;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

const DescriptorPool& known() { return *DescriptorPool::generated_pool(); }

void fail_with(grpc::StatusCode code, const std::string& message, ServerReflectionResponse& response) {
  response.mutable_error_response()->set_error_code(code);
  response.mutable_error_response()->set_error_message(message);
}

// The file after those that it imports, each once.
void add_file(const FileDescriptor& file, std::set<const FileDescriptor*>& added, FileDescriptorResponse& response) {
  if (!added.insert(&file).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) add_file(*file.dependency(i), added, response);
  google::protobuf::FileDescriptorProto written;
  file.CopyTo(&written);
  response.add_file_descriptor_proto(written.SerializeAsString());
}

void answer_file(const FileDescriptor* file, const std::string& what, ServerReflectionResponse& response) {
  if (!file) return fail_with(grpc::NOT_FOUND, what + " is not known here", response);
  std::set<const FileDescriptor*> added;
  add_file(*file, added, *response.mutable_file_descriptor_response());
}

const FileDescriptor* file_of_extension(const ServerReflectionRequest& asked) {
  const auto* const type = known().FindMessageTypeByName(asked.file_containing_extension().containing_type());
  const FieldDescriptor* const field =
      type ? known().FindExtensionByNumber(type, asked.file_containing_extension().extension_number()) : nullptr;
  return field ? field->file() : nullptr;
}

void answer_extensions(const std::string& name, ServerReflectionResponse& response) {
  const auto* const type = known().FindMessageTypeByName(name);
  if (!type) return fail_with(grpc::NOT_FOUND, "the type is not known here", response);
  std::vector<const FieldDescriptor*> fields;
  known().FindAllExtensions(type, &fields);
  response.mutable_all_extension_numbers_response()->set_base_type_name(name);
  for (const FieldDescriptor* const field : fields) response.mutable_all_extension_numbers_response()->add_extension_number(field->number());
}

}  // namespace

// One request is read, and answered before the next.
class ReflectionService::Stream final : public BidiCall, public OpenStream {
 public:
  Stream(CallQueue& queue, ReflectionService& service) : BidiCall(queue), service_(service) {
    service_.RequestServerReflectionInfo(&context_, &stream_, queue_.get(), queue_.get(), accepted_.tag());
  }

  void drain() override {
    const std::lock_guard lock(mutex_);
    is_draining_ = true;
    if (is_reading_) end({grpc::UNAVAILABLE, "the server is shutting down"});
  }

 private:
  void listen() override { new Stream(queue_, service_); }
  void on_begun() override {
    {
      const std::lock_guard lock(mutex_);
      read();
    }
    service_.streams_.add(*this);
  }
  void on_read(bool ok) override {
    const std::lock_guard lock(mutex_);
    is_reading_ = false;
    if (!ok) return end(grpc::Status::OK);
    if (is_ended_) return;
    ServerReflectionRequest asked;
    try {
      read_message(request_, service_.limits_, asked);
    } catch (...) {
      return end(status_of(std::current_exception()));
    }
    start_write(bytes_of(service_.answer(asked).SerializeAsString()));
  }
  void on_written(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (!ok || is_draining_) return end({grpc::UNAVAILABLE, "the server is shutting down"});
    read();
  }
  void on_cancelled() override {}  // what is under way fails
  void on_end() override {
    service_.streams_.remove(*this);
    delete this;
  }

  void read() {
    is_reading_ = true;
    start_read(&request_);
  }
  void end(const grpc::Status& status) {
    if (!std::exchange(is_ended_, true)) finish(status);
  }

  ReflectionService& service_;
  grpc::ByteBuffer request_;
  std::mutex mutex_;  // of all below
  bool is_reading_ = false, is_draining_ = false, is_ended_ = false;
};

ReflectionService::ReflectionService(std::vector<std::string> services, const Limits& limits, OpenStreams& streams)
    : services_(std::move(services)), limits_(limits), streams_(streams) {}

ServerReflectionResponse ReflectionService::answer(const ServerReflectionRequest& asked) const {
  ServerReflectionResponse response;
  response.set_valid_host(asked.host());
  *response.mutable_original_request() = asked;
  switch (asked.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      answer_file(known().FindFileByName(asked.file_by_filename()), "the file", response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      answer_file(known().FindFileContainingSymbol(asked.file_containing_symbol()), "the symbol", response);
      break;
    case ServerReflectionRequest::kFileContainingExtension: answer_file(file_of_extension(asked), "the extension", response); break;
    case ServerReflectionRequest::kAllExtensionNumbersOfType: answer_extensions(asked.all_extension_numbers_of_type(), response); break;
    case ServerReflectionRequest::kListServices:
      for (const std::string& name : services_) response.mutable_list_services_response()->add_service()->set_name(name);
      response.mutable_list_services_response()->add_service()->set_name(grpc::reflection::v1alpha::ServerReflection::service_full_name());
      break;
    default: fail_with(grpc::INVALID_ARGUMENT, "the request asks for nothing", response);
  }
  return response;
}

void ReflectionService::listen(CallQueue& queue) { new Stream(queue, *this); }

}  // namespace tandem::grpc_detail
