#include "server/app.h"

namespace signum {

void AddAllRoutes(http::Router& router, App& app) {
  AddUploadRoutes(router, app);
  AddBaseRoutes(router, app);
  AddVersionRoutes(router, app);
  AddArtifactRoutes(router, app);
  AddAliasRoutes(router, app);
  AddJobRoutes(router, app);
  AddLiveRoutes(router, app);
  AddWatchRoutes(router, app);
  AddNodeRoutes(router, app);
  AddAuditRoutes(router, app);
  AddTokenRoutes(router, app);
  AddKeyRoutes(router, app);
  AddTenantRoutes(router, app);
  AddModeRoutes(router, app);
  AddMaintenanceRoutes(router, app);
  AddOperationRoutes(router, app);
}

}  // namespace signum
