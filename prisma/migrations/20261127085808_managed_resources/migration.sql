-- CreateEnum
CREATE TYPE "resource_status" AS ENUM ('CREATING', 'RUNNING', 'STARTING', 'STOPPING', 'STOPPED', 'FAILED', 'DELETING');

-- CreateTable
CREATE TABLE "database" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "environment_id" UUID NOT NULL,
    "primary_id" UUID,
    "name" TEXT NOT NULL,
    "slug" TEXT NOT NULL,
    "postgres_version" TEXT NOT NULL,
    "desired_state" "desired_state" NOT NULL,
    "status" "resource_status" NOT NULL,
    "status_message" TEXT,
    "host" TEXT NOT NULL,
    "port" INTEGER NOT NULL,
    "owns_port" BOOLEAN NOT NULL,
    "database_name" TEXT NOT NULL,
    "username" TEXT NOT NULL,
    "password" BYTEA NOT NULL,
    "superuser_password" BYTEA NOT NULL,
    "url" BYTEA NOT NULL,
    "url_fingerprint" TEXT NOT NULL,
    "credentials_version" INTEGER NOT NULL DEFAULT 1,
    "credentials_changed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "credentials_changed_by" TEXT NOT NULL,
    "max_connections" INTEGER NOT NULL,
    "settings" JSON NOT NULL DEFAULT '{}',
    "pending_restart" BOOLEAN NOT NULL DEFAULT false,
    "generation" INTEGER NOT NULL DEFAULT 0,
    "applied_generation" INTEGER NOT NULL DEFAULT 0,
    "revision" INTEGER NOT NULL DEFAULT 1,
    "applied_revision" INTEGER NOT NULL DEFAULT 0,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "next_start_at" TIMESTAMPTZ(3),
    "started_at" TIMESTAMPTZ(3),
    "last_revealed_at" TIMESTAMPTZ(3),
    "last_revealed_by" TEXT,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "database_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "resource_binding" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "environment_id" UUID NOT NULL,
    "web_service_id" UUID NOT NULL,
    "resource_id" UUID NOT NULL,
    "resource_type" TEXT NOT NULL,
    "variables" TEXT[],
    "changed_by" TEXT NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "resource_binding_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "resource" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "environment_id" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "resource_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "database_project_id_id_idx" ON "database"("project_id", "id");

-- CreateIndex
CREATE INDEX "database_primary_id_idx" ON "database"("primary_id");

-- CreateIndex
CREATE UNIQUE INDEX "database_organization_id_project_id_environment_id_id_key" ON "database"("organization_id", "project_id", "environment_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "database_environment_id_slug_key" ON "database"("environment_id", "slug");

-- CreateIndex
CREATE UNIQUE INDEX "database_port_key" ON "database"("port") WHERE (owns_port);

-- CreateIndex
CREATE INDEX "resource_binding_web_service_id_idx" ON "resource_binding"("web_service_id");

-- CreateIndex
CREATE INDEX "resource_binding_resource_id_idx" ON "resource_binding"("resource_id");

-- CreateIndex
CREATE INDEX "resource_environment_id_idx" ON "resource"("environment_id");

-- CreateIndex
CREATE UNIQUE INDEX "resource_organization_id_project_id_environment_id_id_key" ON "resource"("organization_id", "project_id", "environment_id", "id");

-- AddForeignKey
ALTER TABLE "database" ADD CONSTRAINT "database_organization_id_project_id_environment_id_id_fkey" FOREIGN KEY ("organization_id", "project_id", "environment_id", "id") REFERENCES "resource"("organization_id", "project_id", "environment_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "database" ADD CONSTRAINT "database_primary_id_fkey" FOREIGN KEY ("primary_id") REFERENCES "database"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "resource_binding" ADD CONSTRAINT "resource_binding_organization_id_project_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "project_id", "web_service_id") REFERENCES "web_service"("organization_id", "project_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "resource_binding" ADD CONSTRAINT "resource_binding_organization_id_project_id_environment_id_fkey" FOREIGN KEY ("organization_id", "project_id", "environment_id", "resource_id") REFERENCES "resource"("organization_id", "project_id", "environment_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "resource" ADD CONSTRAINT "resource_organization_id_project_id_environment_id_fkey" FOREIGN KEY ("organization_id", "project_id", "environment_id") REFERENCES "environment"("organization_id", "project_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- resource_binding_stamp
CREATE TRIGGER resource_binding_stamp BEFORE UPDATE ON resource_binding FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- database_stamp
CREATE TRIGGER database_stamp BEFORE UPDATE ON database FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- database_max_connections_check
ALTER TABLE database ADD CONSTRAINT database_max_connections_check CHECK (max_connections BETWEEN 1 AND 500);

-- database_port_check
ALTER TABLE database ADD CONSTRAINT database_port_check CHECK (port BETWEEN 1 AND 65535);
