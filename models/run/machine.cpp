#include "models/run/machine.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <fstream>
#include <thread>

#include "kernels/api/isa.h"

namespace tandem {
namespace {

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      if (const size_t colon = line.find(':'); colon != std::string::npos) return line.substr(colon + 2);
  return "unknown";
}

}  // namespace

std::map<std::string, std::string> machine_facts() {
  std::map<std::string, std::string> facts{{"cpu", cpu_model()}, {"cores", std::to_string(std::thread::hardware_concurrency())}};
  facts["isa"] = name(cpu::chosen_isa());
  struct sysinfo memory {};
  if (sysinfo(&memory) == 0) facts["memory_gib"] = std::to_string((memory.totalram * memory.mem_unit) >> 30);
  struct utsname system {};
  if (uname(&system) == 0) facts["system"] = std::string(system.sysname) + " " + system.release + " " + system.machine;
  return facts;
}

}  // namespace tandem
