-- CreateTable
CREATE TABLE "redis" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "environment_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "slug" TEXT NOT NULL,
    "redis_version" TEXT NOT NULL,
    "desired_state" "desired_state" NOT NULL,
    "status" "resource_status" NOT NULL,
    "status_message" TEXT,
    "host" TEXT NOT NULL,
    "port" INTEGER NOT NULL,
    "password" BYTEA NOT NULL,
    "url" BYTEA NOT NULL,
    "url_fingerprint" TEXT NOT NULL,
    "created_by" TEXT NOT NULL,
    "max_memory_bytes" DOUBLE PRECISION NOT NULL,
    "eviction_policy" TEXT NOT NULL,
    "persistent" BOOLEAN NOT NULL,
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

    CONSTRAINT "redis_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "redis_port_key" ON "redis"("port");

-- CreateIndex
CREATE INDEX "redis_project_id_id_idx" ON "redis"("project_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "redis_organization_id_project_id_environment_id_id_key" ON "redis"("organization_id", "project_id", "environment_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "redis_environment_id_slug_key" ON "redis"("environment_id", "slug");

-- AddForeignKey
ALTER TABLE "redis" ADD CONSTRAINT "redis_organization_id_project_id_environment_id_id_fkey" FOREIGN KEY ("organization_id", "project_id", "environment_id", "id") REFERENCES "resource"("organization_id", "project_id", "environment_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- redis_stamp
CREATE TRIGGER redis_stamp BEFORE UPDATE ON redis FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- redis_max_memory_bytes_check
ALTER TABLE redis ADD CONSTRAINT redis_max_memory_bytes_check CHECK (max_memory_bytes BETWEEN 16777216 AND 68719476736);

-- redis_port_check
ALTER TABLE redis ADD CONSTRAINT redis_port_check CHECK (port BETWEEN 1 AND 65535);
