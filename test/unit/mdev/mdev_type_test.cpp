// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_type.hpp"

#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/unit/vfio/expect_failure.hpp"

#include <filesystem>

using namespace kata_vfio;
using namespace kata_vfio::mdev;
using testing::HasSubstr;

namespace {
const char* const gvt_text =
    "low_gm_size: 64MB\nhigh_gm_size: 384MB\nfence: 4\nresolution: 1024x768\nweight: 2\n";
} // namespace

TEST(Description, TheWalkthroughsFiveLines) {
    const auto gvt = parse_description(gvt_text);
    ASSERT_TRUE(gvt);
    EXPECT_EQ(*gvt, (GvtResources{64, 384, 4, "1024x768", 2}));
}

TEST(Description, OrderSpaceAndForeignLinesDoNotMatter) {
    const auto gvt = parse_description("weight:16\r\n  fence :  4 \nfuture: thing\nno colon here\n"
                                       "resolution: 1920x1200\nhigh_gm_size: 2048 MB\n"
                                       "low_gm_size: 512MB");
    ASSERT_TRUE(gvt);
    EXPECT_EQ(*gvt, (GvtResources{512, 2048, 4, "1920x1200", 16}));
}

TEST(Description, AnythingElseIsFreeText) {
    for (const char* text :
         {"", "a virtual display", "low_gm_size: 64MB\nhigh_gm_size: 384MB\nfence: 4\nweight: 2\n",
          "low_gm_size: 64\nhigh_gm_size: 384MB\nfence: 4\nresolution: a\nweight: 2\n",
          "low_gm_size: 64GB\nhigh_gm_size: 384MB\nfence: 4\nresolution: a\nweight: 2\n",
          "low_gm_size: -64MB\nhigh_gm_size: 384MB\nfence: 4\nresolution: a\nweight: 2\n",
          "low_gm_size: 64MB\nhigh_gm_size: 384MB\nfence: 99999999999\nresolution: a\nweight: 2\n",
          "low_gm_size: 64MB\nhigh_gm_size: 384MB\nfence: 4\nresolution:\nweight: 2\n",
          "low_gm_size: 64MB\nlow_gm_size: 64MB\nhigh_gm_size: 384MB\nfence: 4\nresolution: "
          "a\nweight: 2\n",
          "low_gm_size: 99999999999999999999MB\nhigh_gm_size: 1MB\nfence: 4\nresolution: "
          "a\nweight: "
          "2\n"})
        EXPECT_FALSE(parse_description(text)) << text;
}

TEST(MdevParent, GvtHost) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    root.populate_mtty();
    const auto parents = list_parents(root.host());
    ASSERT_EQ(parents.size(), 2u);
    EXPECT_EQ(parents[0].name, "0000:00:02.0");
    EXPECT_EQ(parents[0].address->text(), "0000:00:02.0");
    EXPECT_EQ(parents[0].numa_node, -1);
    ASSERT_EQ(parents[0].types.size(), 4u);
    const auto& small = parents[0].types[3];
    EXPECT_EQ(small.id, "i915-GVTg_V4_8");
    EXPECT_EQ(small.name, std::nullopt) << "i915 had no name file before 6.1";
    EXPECT_EQ(small.available_instances, 7u);
    EXPECT_EQ(small.device_api, "vfio-pci");
    EXPECT_EQ(small.gvt->high_gm_mb, 384u);
    EXPECT_EQ(parents[1].name, "mtty");
    EXPECT_EQ(parents[1].address, std::nullopt);
    EXPECT_EQ(parents[1].types[0].name, "Single port serial");
    EXPECT_EQ(parents[1].types[0].description, "");
    EXPECT_EQ(parents[1].types[0].gvt, std::nullopt);
}

TEST(MdevParent, Unknown) {
    fake::FakeRoot root;
    const auto read = [&](std::string_view name) {
        return test::failure_text(Errc::parent_not_found, [&] { read_parent(root.host(), name); });
    };
    EXPECT_THAT(read("0000:00:02.0"),
                HasSubstr("'0000:00:02.0' is no device of this host that makes vGPUs (mdev "
                          "parent); none here does"));
    EXPECT_TRUE(list_parents(root.host()).empty());
    root.populate_gvt_host();
    EXPECT_EQ(read("0000:00:03.0"),
              "'0000:00:03.0' is no device of this host that makes vGPUs (mdev parent); did you "
              "mean 0000:00:02.0? there is 0000:00:02.0");
    EXPECT_THAT(read("00:02.0"), HasSubstr("did you mean 0000:00:02.0? ")) << "without its domain";
    for (const char* name : {"", ".", "..", "../../bus", "/etc"})
        EXPECT_THAT(read(name), HasSubstr("is no device of this host that makes vGPUs"));
}

TEST(MdevParent, WhatIsThereButMakesNoVgpusIsTold) {
    fake::FakeRoot root;
    const auto read = [&](std::string_view name) {
        return test::failure_text(Errc::parent_not_found, [&] { read_parent(root.host(), name); });
    };
    root.populate_function(
        {.address = "0000:00:03.0", .class_code = 0x020000, .driver = "e1000e", .group = 3});
    EXPECT_EQ(read("0000:00:03.0"),
              "0000:00:03.0 makes no vGPUs (it is no mdev parent): it is on e1000e; no device of "
              "this host does: GVT-g needs an Intel GPU of the 5th to 10th Core generation, and "
              "none is on its PCI bus; another device needs the driver that makes its vGPUs");
    root.populate_function({.address = "0000:00:02.0", .driver = "vfio-pci", .group = 1});
    EXPECT_THAT(read("0000:00:02.0"),
                HasSubstr("0000:00:02.0 makes no vGPUs (it is no mdev parent): it is on vfio-pci; "
                          "give it back to its driver (kata-vfio restore 0000:00:02.0)"));
    EXPECT_THAT(read("0000:00:03.0"), HasSubstr("for GVT-g boot with i915.enable_gvt=1"));
}

TEST(MdevParent, ATypeIsNoParent) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    EXPECT_EQ(test::failure_text(Errc::parent_not_found,
                                 [&] { read_parent(root.host(), "i915-GVTg_V4_8"); }),
              "'i915-GVTg_V4_8' is an mdev type, not a device that makes vGPUs (mdev parent); "
              "0000:00:02.0 offers it");
}

TEST(MdevParent, MalformedAttributes) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    const std::string type = "/sys/class/mdev_bus/0000:00:02.0/mdev_supported_types/i915-GVTg_V4_8";
    root.write(type + "/available_instances", "lots\n");
    root.write(type + "/description", std::string(200000, 'x'));
    std::filesystem::remove(root.at(type + "/device_api"));
    const auto read = read_type(root.host(), "0000:00:02.0", "i915-GVTg_V4_8");
    EXPECT_EQ(read.available_instances, 0u);
    EXPECT_EQ(read.device_api, "");
    EXPECT_EQ(read.gvt, std::nullopt);
    EXPECT_LE(read.description.size(), 70000u);
}

namespace {

class FindType : public testing::Test {
  protected:
    void SetUp() override {
        root.populate_gvt_host();
        root.populate_mtty();
    }
    std::string refused(Errc code, std::string_view type,
                        std::optional<std::string_view> parent = std::nullopt) {
        return test::failure_text(code, [&] { find_type(root.host(), type, parent); });
    }
    fake::FakeRoot root;
};

} // namespace

TEST_F(FindType, AllParentsThatOfferIt) {
    fake::FunctionSpec second;
    second.address = "0000:03:00.0";
    second.numa_node = 1;
    root.populate_function(second);
    fake::ParentSpec parent;
    parent.name = second.address;
    parent.pool = 0;
    fake::MdevTypeSpec type;
    type.id = "i915-GVTg_V4_8";
    parent.types = {type};
    root.populate_mdev_parent(parent);
    const auto offers = find_type(root.host(), "i915-GVTg_V4_8");
    ASSERT_EQ(offers.size(), 2u);
    EXPECT_EQ(offers[0].parent, "0000:00:02.0");
    EXPECT_EQ(offers[1].parent, "0000:03:00.0");
    EXPECT_EQ(offers[1].available_instances, 0u) << "a full parent is offered too";
    EXPECT_EQ(find_type(root.host(), "i915-GVTg_V4_8", "0000:03:00.0").size(), 1u);
}

TEST_F(FindType, UnknownListsWhatThereIsAndTheNearest) {
    EXPECT_EQ(refused(Errc::type_not_found, "i915-GVTg_V5_8"),
              "no mdev type 'i915-GVTg_V5_8' on this host; did you mean i915-GVTg_V4_8? there are "
              "i915-GVTg_V4_1, i915-GVTg_V4_2, i915-GVTg_V4_4, i915-GVTg_V4_8, mtty-1 and mtty-2");
}

TEST_F(FindType, ANameWithSpacesIsToldItsId) {
    EXPECT_EQ(refused(Errc::type_not_found, "Single port serial"),
              "'Single port serial' is the name of an mdev type, not its id; use its id: mtty-1");
}

TEST_F(FindType, WrongParentSaysWhichHasIt) {
    EXPECT_EQ(refused(Errc::type_not_found, "mtty-1", "0000:00:02.0"),
              "parent 0000:00:02.0 does not offer type mtty-1; mtty does; 0000:00:02.0 offers "
              "i915-GVTg_V4_1, i915-GVTg_V4_2, i915-GVTg_V4_4 and i915-GVTg_V4_8");
    EXPECT_THAT(refused(Errc::parent_not_found, "mtty-1", "mdpy"),
                HasSubstr("'mdpy' is no device of this host that makes vGPUs"));
}

TEST_F(FindType, AnIdIsOnePathComponent) {
    for (const std::string_view type :
         {std::string_view("../mdev_supported_types/mtty-1"), std::string_view("mtty-1/"),
          std::string_view(".."), std::string_view(""), std::string_view("mtty-1\0x", 8)})
        EXPECT_THAT(refused(Errc::type_not_found, type), HasSubstr("can't be an mdev type's id"))
            << type;
    EXPECT_THAT(test::failure_text(Errc::type_not_found,
                                   [&] { read_type(root.host(), "mtty", "../../mtty"); }),
                HasSubstr("can't be an mdev type's id"));
}

TEST(FindTypeWithoutParents, SaysWhatTheHostLacks) {
    fake::FakeRoot root;
    const auto refused = [&] {
        return test::failure_text(Errc::type_not_found,
                                  [&] { find_type(root.host(), "i915-GVTg_V4_8"); });
    };
    EXPECT_THAT(refused(), HasSubstr("no mdev type 'i915-GVTg_V4_8' on this host; no parent offers "
                                     "any type: GVT-g needs an Intel GPU"));
    root.populate_function({.address = "0000:00:02.0", .group = 1});
    EXPECT_THAT(refused(),
                HasSubstr("no parent offers any type: for GVT-g boot with i915.enable_gvt=1"));
}
