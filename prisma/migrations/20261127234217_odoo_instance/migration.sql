-- CreateEnum
CREATE TYPE "odoo_edition" AS ENUM ('COMMUNITY', 'ENTERPRISE');

-- CreateTable
CREATE TABLE "odoo_instance" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "environment_id" UUID NOT NULL,
    "database_id" UUID,
    "disk_id" UUID,
    "odoo_version" TEXT NOT NULL,
    "edition" "odoo_edition" NOT NULL,
    "addons_path" TEXT,
    "workers" INTEGER NOT NULL,
    "config" TEXT,
    "admin_password" BYTEA NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "odoo_instance_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "odoo_instance_project_id_id_idx" ON "odoo_instance"("project_id", "id");

-- CreateIndex
CREATE INDEX "odoo_instance_environment_id_id_idx" ON "odoo_instance"("environment_id", "id");

-- CreateIndex
CREATE INDEX "odoo_instance_database_id_idx" ON "odoo_instance"("database_id");

-- CreateIndex
CREATE INDEX "odoo_instance_disk_id_idx" ON "odoo_instance"("disk_id");

-- CreateIndex
CREATE UNIQUE INDEX "odoo_instance_organization_id_id_key" ON "odoo_instance"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "odoo_instance_organization_id_project_id_id_key" ON "odoo_instance"("organization_id", "project_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "disk_organization_id_id_key" ON "disk"("organization_id", "id");

-- AddForeignKey
ALTER TABLE "odoo_instance" ADD CONSTRAINT "odoo_instance_organization_id_project_id_id_fkey" FOREIGN KEY ("organization_id", "project_id", "id") REFERENCES "web_service"("organization_id", "project_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- odoo_instance_stamp
CREATE TRIGGER odoo_instance_stamp BEFORE UPDATE ON odoo_instance FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- odoo_instance_database_id_fkey
ALTER TABLE odoo_instance ADD CONSTRAINT odoo_instance_database_id_fkey FOREIGN KEY (organization_id, database_id) REFERENCES database (organization_id, id) ON DELETE SET NULL (database_id);

-- odoo_instance_disk_id_fkey
ALTER TABLE odoo_instance ADD CONSTRAINT odoo_instance_disk_id_fkey FOREIGN KEY (organization_id, disk_id) REFERENCES disk (organization_id, id) ON DELETE SET NULL (disk_id);

-- odoo_instance_workers_check
ALTER TABLE odoo_instance ADD CONSTRAINT odoo_instance_workers_check CHECK (workers BETWEEN 0 AND 64);
