-- CreateEnum
CREATE TYPE "storage_key_kind" AS ENUM ('USER', 'CONNECTION', 'PRESIGN');

-- DropForeignKey
ALTER TABLE "resource_binding" DROP CONSTRAINT "resource_binding_organization_id_project_id_environment_id_fkey";

-- AlterTable
ALTER TABLE "resource_binding" ALTER COLUMN "environment_id" DROP NOT NULL;

-- AlterTable
ALTER TABLE "resource" ALTER COLUMN "project_id" DROP NOT NULL,
ALTER COLUMN "environment_id" DROP NOT NULL;

-- CreateTable
CREATE TABLE "storage_tenant" (
    "organization_id" UUID NOT NULL,
    "used_bytes" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "storage_tenant_pkey" PRIMARY KEY ("organization_id")
);

-- CreateTable
CREATE TABLE "bucket" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "public" BOOLEAN NOT NULL DEFAULT false,
    "cors_rules" JSON NOT NULL DEFAULT '[]',
    "cache_control" TEXT,
    "size_bytes" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "object_count" INTEGER NOT NULL DEFAULT 0,
    "created_by" TEXT NOT NULL,
    "deleting_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "bucket_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "storage_key" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "kind" "storage_key_kind" NOT NULL,
    "name" TEXT NOT NULL,
    "access_key_id" TEXT NOT NULL,
    "secret" BYTEA NOT NULL,
    "secret_fingerprint" TEXT NOT NULL,
    "can_read" BOOLEAN NOT NULL,
    "can_write" BOOLEAN NOT NULL,
    "can_delete" BOOLEAN NOT NULL,
    "can_admin" BOOLEAN NOT NULL,
    "resource_binding_id" UUID,
    "created_by" TEXT NOT NULL,
    "last_used_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "storage_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "storage_key_bucket" (
    "storage_key_id" UUID NOT NULL,
    "bucket_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,

    CONSTRAINT "storage_key_bucket_pkey" PRIMARY KEY ("storage_key_id","bucket_id")
);

-- CreateIndex
CREATE UNIQUE INDEX "bucket_name_key" ON "bucket"("name");

-- CreateIndex
CREATE UNIQUE INDEX "bucket_organization_id_id_key" ON "bucket"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "storage_key_access_key_id_key" ON "storage_key"("access_key_id");

-- CreateIndex
CREATE UNIQUE INDEX "storage_key_resource_binding_id_key" ON "storage_key"("resource_binding_id");

-- CreateIndex
CREATE UNIQUE INDEX "storage_key_organization_id_id_key" ON "storage_key"("organization_id", "id");

-- CreateIndex
CREATE INDEX "storage_key_bucket_bucket_id_idx" ON "storage_key_bucket"("bucket_id");

-- CreateIndex
CREATE UNIQUE INDEX "resource_binding_organization_id_id_key" ON "resource_binding"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "resource_organization_id_id_key" ON "resource"("organization_id", "id");

-- AddForeignKey
ALTER TABLE "resource_binding" ADD CONSTRAINT "resource_binding_organization_id_resource_id_fkey" FOREIGN KEY ("organization_id", "resource_id") REFERENCES "resource"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "storage_tenant" ADD CONSTRAINT "storage_tenant_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "bucket" ADD CONSTRAINT "bucket_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "storage_tenant"("organization_id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "bucket" ADD CONSTRAINT "bucket_organization_id_id_fkey" FOREIGN KEY ("organization_id", "id") REFERENCES "resource"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "storage_key" ADD CONSTRAINT "storage_key_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "storage_key" ADD CONSTRAINT "storage_key_organization_id_resource_binding_id_fkey" FOREIGN KEY ("organization_id", "resource_binding_id") REFERENCES "resource_binding"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "storage_key_bucket" ADD CONSTRAINT "storage_key_bucket_organization_id_storage_key_id_fkey" FOREIGN KEY ("organization_id", "storage_key_id") REFERENCES "storage_key"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "storage_key_bucket" ADD CONSTRAINT "storage_key_bucket_organization_id_bucket_id_fkey" FOREIGN KEY ("organization_id", "bucket_id") REFERENCES "bucket"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- resource_environment_check
ALTER TABLE resource ADD CONSTRAINT resource_environment_check CHECK ((project_id IS NULL) = (environment_id IS NULL));

-- resource_binding_environment_fkey
ALTER TABLE resource_binding ADD CONSTRAINT resource_binding_environment_fkey FOREIGN KEY (organization_id, project_id, environment_id, resource_id) REFERENCES resource (organization_id, project_id, environment_id, id) ON DELETE RESTRICT;

-- bucket_stamp
CREATE TRIGGER bucket_stamp BEFORE UPDATE OF version ON bucket FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- storage_key_stamp
CREATE TRIGGER storage_key_stamp BEFORE UPDATE OF version ON storage_key FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- storage_tenant_used_bytes_check
ALTER TABLE storage_tenant ADD CONSTRAINT storage_tenant_used_bytes_check CHECK (used_bytes >= 0);

-- bucket_usage_check
ALTER TABLE bucket ADD CONSTRAINT bucket_usage_check CHECK (size_bytes >= 0 AND object_count >= 0);

-- storage_key_kind_check
ALTER TABLE storage_key ADD CONSTRAINT storage_key_kind_check CHECK ((kind = 'CONNECTION') = (resource_binding_id IS NOT NULL));
