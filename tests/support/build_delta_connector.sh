#!/usr/bin/env bash
# Build Delta's connector for Spark 3.5 from its source, where no Maven repository can be reached.
#
#   tests/support/build_delta_connector.sh DELTA_REPOSITORY TAG SPARK_JARS OUT
#
# DELTA_REPOSITORY: a git clone of delta-io/delta, bare or not. TAG: a release, v3.3.3. SPARK_JARS: the folder `jars` of a Spark 3.5,
# which has Scala's compiler too. Needed: antlr4 (4.7 to 4.9), a JDK, about 5 GB of memory, some minutes. Leaves OUT/delta-spark_2.12-3.3.3.jar
# and OUT/delta-storage-3.3.3.jar. Left out of them: the commit coordinator for DynamoDB and the log store for S3, whose libraries
# Spark does not bring. Whoever reaches Maven takes io.delta:delta-spark_2.12 and io.delta:delta-storage instead.
set -euo pipefail

repository=$1 tag=$2 jars=$(realpath "$3") out=$(realpath -m "$4")
version=${tag#v}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
mkdir -p "$out" "$build"/{source,generated/io/delta/sql/parser,spark,storage}
cd "$build"

for folder in spark storage; do
    git -C "$repository" archive "$tag:$folder/src/main" | tar x --one-top-level="source/$folder"
done

# The two things whose libraries are not there.
rm -r source/spark/java/io/delta/dynamodbcommitcoordinator
rm source/storage/java/io/delta/storage/{S3SingleDriverLogStore,internal/S3LogStoreUtil}.java
sed -i '/DynamoDBCommitCoordinatorClientBuilder/d' \
    source/spark/scala/org/apache/spark/sql/delta/coordinatedcommits/CommitCoordinatorClient.scala
sed -i 's/classOf\[io\.delta\.storage\.S3SingleDriverLogStore\]\.getName/"io.delta.storage.S3SingleDriverLogStore"/' \
    source/spark/scala/org/apache/spark/sql/delta/storage/DelegatingLogStore.scala

# What sbt would generate: the parser of Delta's SQL, and the version.
(cd source/spark/antlr4/io/delta/sql/parser &&
    antlr4 -visitor -package io.delta.sql.parser -o "$build/generated/io/delta/sql/parser" DeltaSqlBase.g4)
printf 'package io\n\npackage object delta {\n  val VERSION = "%s"\n}\n' "$version" > generated/io/delta/package.scala

find source/storage/java -name '*.java' > storage.files
javac -nowarn -encoding UTF-8 -cp "$jars/*" -d storage @storage.files
jar cf "$out/delta-storage-$version.jar" -C storage .

find generated source/spark/java source/spark/scala source/spark/scala-spark-3.5 -name '*.scala' -o -name '*.java' |
    grep -v '^source/spark/scala-spark-master/' > spark.files
java -Xss8m -Xmx4g -cp "$jars/*" scala.tools.nsc.Main -nowarn -encoding UTF-8 \
    -classpath "storage:$(printf '%s:' "$jars"/*.jar)" -d spark @spark.files
grep '\.java$' spark.files > java.files
javac -nowarn -encoding UTF-8 -cp "spark:storage:$jars/*" -d spark @java.files
rm source/spark/resources/NOTICE.txt # a link to a file of another folder
cp -r source/spark/resources/. spark/
for name in LICENSE.txt NOTICE.txt; do
    git -C "$repository" show "$tag:$name" > "spark/META-INF/$name"
done
jar cf "$out/delta-spark_2.12-$version.jar" -C spark .
ls -l "$out"/delta-*"$version".jar
