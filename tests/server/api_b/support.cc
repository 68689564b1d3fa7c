#include "tests/server/api_b/support.h"

namespace signum::test {

ServiceOptions NoWorker(bool auth, const Clock* clock) {
  ServiceOptions options;
  options.auth = auth;
  options.clock = clock;
  options.worker = false;
  return options;
}

VersionRecord QueueVersion(App& app, const std::string& tenant, const std::string& model) {
  VersionRecord version;
  version.tenant = tenant;
  version.model = model;
  version.base = "base";
  version.upload_bytes = 1000;
  version.options_json = "{}";
  version.creator = "test";
  return app.catalog.CreateVersion(version).value();
}

VersionRecord FinishQueued(App& app) { return Finish(app, app.catalog.ClaimJob().value().value()); }

VersionRecord Finish(App& app, JobRecord job) {
  VersionRecord version = app.catalog.GetVersion(job.tenant, job.model, job.version).value();
  version.state = VersionState::kReady;
  version.delta = Sha256::Of(AsBytes(version.job));
  version.manifest = Sha256::Of(AsBytes("manifest" + version.job));
  version.delta_bytes = 100;
  job.state = JobState::kDone;
  job.phase = "done";
  app.catalog.FinishVersion(version, job).value();
  return app.catalog.GetVersion(job.tenant, job.model, job.version).value();
}

VersionRecord ReadyVersion(App& app, const std::string& tenant, const std::string& model) {
  QueueVersion(app, tenant, model);
  return FinishQueued(app);
}

}  // namespace signum::test
