-- AlterEnum
ALTER TYPE "deployment_failure_code" ADD VALUE 'MODULE_UPDATE_FAILED';

-- AlterTable
ALTER TABLE "deployment" ADD COLUMN     "request" JSON;

-- CreateTable
CREATE TABLE "module_update" (
    "deployment_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "web_service_id" UUID NOT NULL,
    "database_id" UUID NOT NULL,
    "disk_id" UUID,
    "modules" JSON NOT NULL,
    "choice" JSON NOT NULL,
    "stage" TEXT NOT NULL,
    "failure" JSON,
    "has_snapshot" BOOLEAN NOT NULL DEFAULT false,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "module_update_pkey" PRIMARY KEY ("deployment_id")
);

-- CreateIndex
CREATE INDEX "module_update_web_service_id_idx" ON "module_update"("web_service_id");

-- CreateIndex
CREATE INDEX "module_update_snapshot_idx" ON "module_update"("deployment_id") WHERE (has_snapshot);

-- CreateIndex
CREATE UNIQUE INDEX "module_update_organization_id_deployment_id_key" ON "module_update"("organization_id", "deployment_id");

-- AddForeignKey
ALTER TABLE "module_update" ADD CONSTRAINT "module_update_organization_id_deployment_id_fkey" FOREIGN KEY ("organization_id", "deployment_id") REFERENCES "deployment"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- module_update_stamp
CREATE TRIGGER module_update_stamp BEFORE UPDATE ON module_update FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- module_update_stage_check
ALTER TABLE module_update ADD CONSTRAINT module_update_stage_check CHECK (stage IN ('CHOSEN', 'UPDATING', 'UPDATED', 'RESTORING', 'RESTORED'));
